"""Where something listens."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Address:
    """A TCP socket address; port 0 means any free one."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"

    @classmethod
    def parse(cls, text: str) -> Address:
        """``host:port``; raises ``ValueError`` for anything else."""
        host, colon, port = text.strip().rpartition(":")
        if not colon or not host or not port.isdecimal():
            raise ValueError(f"{text!r} is not host:port")
        return cls(host, int(port))


ANY_LOCAL_PORT = Address("127.0.0.1", 0)
"""A free port that only this machine reaches."""
