"""Method signatures for tests of the language alone."""

from __future__ import annotations

from appnet.language.messages import Field, MessageSchema, MethodSignature
from appnet.language.types import BOOL, BYTES, FLOAT, INT, STRING, UINT


def _message(name: str, *fields: Field, **unsupported: str) -> MessageSchema:
    return MessageSchema(name, {it.path: it for it in fields}, unsupported)


_BODY = Field("Body", STRING, (1,), "string")
_MSG = _message("echo.Msg", _BODY, tags="it is repeated")
ECHO = MethodSignature("/echo.EchoService/echo", _MSG, _MSG)

_KV = _message(
    "kv.Message",
    Field("score", INT, (1,), "int32"),
    Field("key", STRING, (2,), "string"),
    Field("rpcid", STRING, (3,), "string"),
    Field("status", STRING, (4,), "string"),
    Field("blob", BYTES, (5,), "bytes"),
    Field("hot", BOOL, (6,), "bool"),
    Field("ratio", FLOAT, (7,), "double"),
    Field("count", UINT, (8,), "uint64"),
)
KV = MethodSignature("/kv.Store/get", _KV, _KV)
