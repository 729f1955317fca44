"""Where something listens."""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import dataclass

MAX_PORT = 65_535


@dataclass(frozen=True)
class Address:
    """A TCP socket address; port 0 means any free one."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_numeric(self) -> bool:
        """Whether the host is an IP address, and no name."""
        try:
            ipaddress.ip_address(self.host)
        except ValueError:
            return False
        return True

    @property
    def is_local(self) -> bool:
        """Whether nobody but this machine reaches it."""
        return self.host == "localhost" or (self.is_numeric and ipaddress.ip_address(self.host).is_loopback)

    def resolved(self) -> Address:
        """The same by its IP address. Raises OSError for a name that nobody knows."""
        if self.is_numeric:
            return self
        found = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
        first = next((it for it in found if it[0] is socket.AF_INET), found[0])
        return Address(str(first[4][0]), self.port)

    def check_bindable(self) -> None:
        """Raises OSError where nobody can listen here now."""
        try:
            host = self.resolved().host
            with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as one:
                one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                one.bind((host, self.port))
        except OSError as error:
            raise OSError(f"cannot listen on {self}: {error.strerror}") from None

    @classmethod
    def parse(cls, text: str) -> Address:
        """``host:port``, or ``[host]:port``; raises ``ValueError`` for anything else."""
        host, colon, port = text.strip().rpartition(":")
        inner = host[1:-1] if host.startswith("[") and host.endswith("]") else host
        if not colon or not inner or not port.isdecimal() or (inner == host and ":" in host):
            raise ValueError(f"{text!r} is not host:port")
        return cls(inner, int(port))


ANY_LOCAL_PORT = Address("127.0.0.1", 0)
"""A free port that only this machine reaches."""
