"""The elements that prices are taken from: each does one thing more than another, so often that it outweighs noise.

Texts are those of `MESSAGE`, so operations on texts are priced as for short ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from appnet.diagnostics.source import TextSource
from appnet.ir.compile import compile_element
from appnet.ir.nodes import Element
from appnet.language.messages import Field, MessageSchema, MethodSignature
from appnet.language.types import STRING

_SCHEMA = MessageSchema("probe.Text", {"text": Field("text", STRING, (1,), "string")})
METHOD = MethodSignature("/probe.Probe/Call", _SCHEMA, _SCHEMA)

TEXT = b"sixteen letters!"
"""What every call says, and is answered."""
MESSAGE = bytes([1 << 3 | 2, len(TEXT)]) + TEXT
"""The same as a message."""

_STATE = """\
state:
    number: uint
    kept: string
    last: Instant
    seen: Map<string, uint>
    noted: Vec<string>

init():
    pass

"""

_READ = "text = get(rpc, 'text')"
_LENGTHENED = [_READ, "set(rpc, 'text', concat(text, '!'))"]
_PLAIN = ("n = max(n * 3, size(text)) + {n}", "if starts_with(text, concat(text, '{n}')):", "    n = n + hash(text)")


@dataclass(frozen=True)
class Probe:
    """``finds`` names the price that is solved for: a part of `TargetCosts`, or a kind of operation.

    A call passes ``copies`` modules of the element.
    """

    finds: str
    element: Element
    copies: int = 1


def all_probes() -> list[Probe]:
    """A probe for each price."""
    return [
        _probe("module", copies=4),
        _probe("request_message", [_READ, "number = size(text)"], copies=4),
        _probe("response_message", [], [_READ, "number = size(text)"], copies=4),
        _probe("plain", [_READ, "n = size(text)", *_repeated(40, *_PLAIN), "number = n"]),
        _probe("container", [_READ, *_repeated(60, "set(seen, text, get(seen, text, {n}) + 1)")]),
        _probe("metadata", _counted(40, "get_metadata(rpc, 'user')", "get_metadata(rpc, 'probe-{n}')")),
        _probe("metadata_write", _repeated(10, "set_metadata(rpc, 'probe-{n}', 'probe')")),
        _probe("time", _repeated(100, "last = current_time()")),
        _probe("record", [_READ, *_repeated(10, "set(noted, size(noted), text)")]),
        _probe("write", _LENGTHENED, _LENGTHENED, copies=4),
        _probe("encryption", [_READ, *_counted(32, "encrypt(text, 'key {n}')")]),
        _probe("signature", [_READ, *_counted(32, "hmac(text, 'key {n}')")]),
        _probe("compression", [_READ, *_counted(10, "compress(concat(text, '{n}'))")]),
    ]


def _probe(finds: str, request: list[str] | None = None, response: list[str] | None = None, copies: int = 1) -> Probe:
    handlers = (("req", request, "Down"), ("resp", response, "Up"))
    blocks = ("\n    ".join([f"{name}(rpc):", *(lines or []), f"send(rpc, {way})"]) for name, lines, way in handlers)
    source = _STATE + "\n\n".join(blocks) + "\n"
    return Probe(finds, compile_element(TextSource(Path(f"{finds}.appnet"), source), METHOD).element, copies)


def _counted(times: int, *texts: str) -> list[str]:
    """Statements that need each of these texts, and add next to nothing to what these cost."""
    return ["n = 0", *_repeated(times, *(f"n = n + size({it})" for it in texts)), "number = n"]


def _repeated(times: int, *lines: str) -> list[str]:
    return [line.format(n=number) for number in range(times) for line in lines]
