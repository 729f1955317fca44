"""Values of one type as values of another."""

from __future__ import annotations

from appnet.codegen.c.printer.operations.family import Family

FAMILY = Family(
    {
        "to_float": "(double){0}",
        "int_to_string": "an_int_text({scope}, {0})",
        "uint_to_string": "an_uint_text({scope}, {0})",
        "float_to_string": "an_float_text({scope}, {0})",
        "bool_to_string": "an_bool_text({0})",
        "instant_to_float": "(double){0} / 1e9",
        "string_to_bytes": "{0}",
        "bytes_to_string": "{0}",
    },
    lasting=frozenset({"int_to_string", "uint_to_string", "float_to_string", "bool_to_string"}),
)
