"""Applications whose programs come with AppNet."""

from __future__ import annotations

import secrets
import sys
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote

import aiohttp

from appnet.application.load import LoadedApplication
from appnet.diagnostics.diagnostic import Diagnostic, DiagnosticError, Severity
from appnet.language.messages import MethodSignature
from appnet.language.types import STRING
from appnet.system.address import Address

ECHO_METHOD = "/echo.EchoService/echo"

_ECHO_MESSAGES = "of `echo.Msg`, whose `Body` is a string"
FAILED = "Echo server returns an error."
"""What the frontend says of a call that failed."""

_CALL_TIMEOUT = aiohttp.ClientTimeout(total=15)


@dataclass(frozen=True)
class FrontendAnswer:
    """What the frontend says to a caller; ``status`` and ``message`` are those of the gRPC call behind it."""

    text: str
    status: int = 0
    message: str = ""


@dataclass(frozen=True)
class Expectation:
    """What the chain makes of a call, after those that were made before.

    ``usual`` is the answer it gives most of the time, ``alike`` are those that other replicas of the server give
    instead, ``by_chance`` are answers that its random draws can bring,
    ``streams`` are the record streams (``ELEMENT.VARIABLE``) that the call usually adds to.
    """

    key: str
    usual: FrontendAnswer
    alike: frozenset[FrontendAnswer] = frozenset()
    by_chance: frozenset[FrontendAnswer] = frozenset()
    streams: frozenset[str] = frozenset()


@dataclass(frozen=True)
class EchoApplication:
    """The echo application: its frontend calls its server with the ``key`` of a URL, once for each GET.

    The server runs ``replicas`` times, each by a name of its own that its answers tell.
    """

    proto: Path
    server_name: str = field(default_factory=lambda: f"server-{secrets.token_hex(3)}")
    replicas: int = 1
    guide: tuple[str, ...] = ("hello", "test")
    """The keys of the calls that its guide makes."""

    @property
    def server_names(self) -> list[str]:
        """What the replicas of the server call themselves."""
        if self.replicas == 1:
            return [self.server_name]
        return [f"{self.server_name}-{number}" for number in range(self.replicas)]

    def server_command(self, name: str) -> list[str | Path]:
        """Runs the replica ``name`` of the server; like the frontend it says on its first line where it is."""
        return [*self._module, "server", "--proto", self.proto, "--name", name]

    def frontend_command(self, server: Address, port: int) -> list[str | Path]:
        """Runs the frontend, which listens on ``port`` (0: a free one) and sends its calls to ``server``."""
        return [*self._module, "frontend", "--proto", self.proto, "--server", str(server), "--port", str(port)]

    @property
    def _module(self) -> list[str]:
        return [sys.executable, "-m", "appnet.samples.echo"]


def application_for(loaded: LoadedApplication) -> EchoApplication:
    """The programs of the application; raises ``DiagnosticError`` where none of it are here."""
    edges = dict.fromkeys((it.chain.edge.client, it.chain.edge.server) for it in loaded.chains)
    carried = [it for it in loaded.chains if any(_is_echo(one.signature) for one in it.methods)]
    if len(edges) == 1 and carried:
        ((_, server),) = edges
        proto = carried[0].chain.proto.path
        assert proto is not None, "`run` reads files"
        return EchoApplication(proto, replicas=loaded.manifest.replicas(server))
    other = next((it for it in loaded.chains if it not in carried), loaded.chains[0])
    title = f"no programs here that call `{other.method.full_name}` on `{other.chain.edge}`"
    help_ = f"on one machine the echo application can be run, which is one edge: `{ECHO_METHOD}` {_ECHO_MESSAGES}"
    span = other.chain.methods[0].span
    raise DiagnosticError([Diagnostic("C061", Severity.ERROR, title, span, "this method", help_)])


def _is_echo(method: MethodSignature) -> bool:
    """Whether the programs can call the method: they know one message, of one text."""
    messages = (method.request, method.response)
    bodies = [it.fields.get("Body") for it in messages]
    named = method.full_name == ECHO_METHOD and all(it.full_name == "echo.Msg" for it in messages)
    return named and all(it is not None and it.kind == "string" and it.type == STRING for it in bodies)


async def get(url: str, key: str) -> FrontendAnswer:
    """Calls the frontend at ``url``. Raises ``aiohttp.ClientError`` or ``TimeoutError`` where it does not answer."""
    async with aiohttp.ClientSession(timeout=_CALL_TIMEOUT) as session, session.get(url, params={"key": key}) as reply:
        text = (await reply.text()).removesuffix("\n")
        status = int(reply.headers.get("grpc-status", "2"))
        return FrontendAnswer(text, status, unquote(reply.headers.get("grpc-message", "")))
