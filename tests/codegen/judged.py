"""How the wire tests compare what the scanner found with what protobuf's parser found."""

from __future__ import annotations

STRICTER = ("a varint is too long", "a varint exceeds 64 bits", "a tag exceeds 32 bits", "a field has number 0")
"""Where parsers differ among themselves, the scan takes the side of those that refuse: upb, which protobuf's Python
has, lets field 0 stand in groups that it does not know."""


def same_number(kind: str, ours: int | bytes, theirs: int | bytes) -> bool:
    """Equal; of NaNs only that both are, since a float's payload may change on the way to a double."""
    if kind in ("float", "double") and isinstance(ours, int) and isinstance(theirs, int):
        exponent = 0x7FF << 52
        if ours & exponent == exponent and ours & ((1 << 52) - 1):
            return theirs & exponent == exponent and bool(theirs & ((1 << 52) - 1))
    return ours == theirs
