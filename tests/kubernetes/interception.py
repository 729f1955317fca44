"""Has the kernel send calls to a sidecar, as Istio does with iptables: rules of nf_tables, told by netlink.

Istio tells a pod's proxy from its program by the group that it runs as. Here all is on one loopback, so each sidecar has a
group of its own.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from dataclasses import dataclass

_NETFILTER = 12  # linux/netlink.h
_BATCH_BEGIN, _BATCH_END = 16, 17  # linux/netfilter/nfnetlink.h
_SUBSYSTEM = 10 << 8
_NEW_TABLE, _NEW_CHAIN, _NEW_RULE, _DELETE_TABLE = 0, 3, 6, 2  # linux/netfilter/nf_tables.h
_REQUEST, _ACKNOWLEDGE, _CREATE, _APPEND = 1, 4, 0x400, 0x800
_NESTED = 0x8000
_OUTPUT, _DESTINATION_NAT = 3, -100
_GROUP_OF_SOCKET, _PROTOCOL = 11, 16
_EQUAL, _NOT_EQUAL = 0, 1
_NETWORK_HEADER, _TRANSPORT_HEADER = 1, 2
_VERDICT_REGISTER, _REGISTER = 0, 1
_TABLE = "appnet-test"


@dataclass(frozen=True)
class Redirect:
    """Connections to an address go to ``port`` instead, but those that processes of ``group`` open."""

    host: str
    destination: int
    port: int
    group: int


def intercept(*redirects: Redirect) -> None:
    """In this network namespace, in place of what was before. Raises OSError where the kernel cannot."""
    table = _attribute(1, _text(_TABLE))
    hook = _attribute(1, struct.pack(">I", _OUTPUT)) + _attribute(2, struct.pack(">i", _DESTINATION_NAT))
    chain = table + _attribute(3, _text("out")) + _nested(4, hook) + _attribute(7, _text("nat"))
    _send(
        [
            (_NEW_TABLE, _CREATE, table),
            (_DELETE_TABLE, 0, table),
            (_NEW_TABLE, _CREATE, table),
            (_NEW_CHAIN, _CREATE, chain),
            *(
                (_NEW_RULE, _CREATE | _APPEND, table + _attribute(2, _text("out")) + _nested(4, _rule(it)))
                for it in redirects
            ),
        ]
    )


def _rule(redirect: Redirect) -> bytes:
    return b"".join(
        (
            _loaded("meta", {2: _PROTOCOL, 1: _REGISTER}),
            _compared(_EQUAL, bytes([socket.IPPROTO_TCP])),
            _loaded("payload", {1: _REGISTER, 2: _NETWORK_HEADER, 3: 16, 4: 4}),
            _compared(_EQUAL, socket.inet_aton(redirect.host)),
            _loaded("payload", {1: _REGISTER, 2: _TRANSPORT_HEADER, 3: 2, 4: 2}),
            _compared(_EQUAL, struct.pack(">H", redirect.destination)),
            _loaded("meta", {2: _GROUP_OF_SOCKET, 1: _REGISTER}),
            _compared(_NOT_EQUAL, struct.pack("=I", redirect.group)),
            _expression(
                "immediate",
                _attribute(1, struct.pack(">I", _REGISTER))
                + _nested(2, _attribute(1, struct.pack(">H", redirect.port))),
            ),
            _loaded("redir", {1: _REGISTER}),
        )
    )


def _loaded(name: str, numbers: dict[int, int]) -> bytes:
    return _expression(name, b"".join(_attribute(key, struct.pack(">I", it)) for key, it in numbers.items()))


def _compared(operation: int, value: bytes) -> bytes:
    register, how = (struct.pack(">I", it) for it in (_REGISTER, operation))
    return _expression("cmp", _attribute(1, register) + _attribute(2, how) + _nested(3, _attribute(1, value)))


def _expression(name: str, content: bytes) -> bytes:
    return _nested(1, _attribute(1, _text(name)) + _nested(2, content))


def _text(text: str) -> bytes:
    return text.encode() + b"\0"


def _nested(kind: int, content: bytes) -> bytes:
    return _attribute(kind | _NESTED, content)


def _attribute(kind: int, content: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(content), kind) + content + b"\0" * (-len(content) % 4)


def _send(messages: list[tuple[int, int, bytes]]) -> None:
    """As one transaction."""
    begin, end = (_message(it, _REQUEST, 0, struct.pack(">BBH", 0, 0, 10)) for it in (_BATCH_BEGIN, _BATCH_END))
    body = b"".join(
        _message(_SUBSYSTEM | kind, _REQUEST | _ACKNOWLEDGE | flags, number, struct.pack(">BBH", 2, 0, 0) + content)
        for number, (kind, flags, content) in enumerate(messages, start=1)
    )
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETFILTER) as kernel:
        kernel.bind((0, 0))
        kernel.settimeout(5)
        kernel.send(begin + body + end)
        left = len(messages)
        while left:
            answers = kernel.recv(1 << 16)
            while answers:
                length, kind, *_ = struct.unpack_from("=IHHII", answers)
                error = -struct.unpack_from("=i", answers, 16)[0] if kind == 2 else 0
                if error:
                    raise OSError(error, f"nf_tables: {errno.errorcode.get(error, '')} {os.strerror(error)}")
                answers, left = answers[(length + 3) & ~3 :], left - 1


def _message(kind: int, flags: int, number: int, content: bytes) -> bytes:
    return struct.pack("=IHHII", 16 + len(content), kind, flags, number, 0) + content
