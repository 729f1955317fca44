"""Encryption, signatures and compression."""

from __future__ import annotations

from appnet.codegen.c.printer.operations.family import Body, Family, option
from appnet.ir.nodes import Call
from appnet.language.types import STRING, Type

FAMILY = Family(
    {
        "encrypt": "an_encrypt({scope}, {element}, {0}, {1})",
        "hmac": "an_hmac({scope}, {0}, {1})",
    },
    lasting=frozenset({"encrypt", "decrypt", "hmac", "compress", "decompress"}),
)


@FAMILY.value
def _decrypt(body: Body, call: Call) -> str:
    return option(body, call, "an_decrypt", *map(body.atom, call.args))


def _encoded(type_: Type) -> str:
    return "true" if type_ == STRING else "false"


@FAMILY.value
def _compress(body: Body, call: Call) -> str:
    return f"an_compress({body.scope()}, {body.atom(call.args[0])}, {_encoded(call.type)})"


@FAMILY.value
def _decompress(body: Body, call: Call) -> str:
    packed = call.args[0]
    return option(body, call, "an_decompress", body.atom(packed), _encoded(packed.type))
