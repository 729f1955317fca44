"""The interoperability tests of grpc-go: its client against its server, a process for each case."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tests.judges.chains import Judged
from tests.judges.suite import PASSED, Outcomes, output_of, serving
from tests.judges.tools import GRPC_GO, Tools

_METHODS = ("UnaryCall", "StreamingOutputCall", "FullDuplexCall", "HalfDuplexCall")
_CASES = (
    "empty_unary", "large_unary", "client_streaming", "server_streaming", "ping_pong", "empty_stream",
    "timeout_on_sleeping_server", "cancel_after_begin", "cancel_after_first_response", "status_code_and_message",
    "special_status_message", "custom_metadata", "unimplemented_method", "unimplemented_service", "orca_per_rpc", "orca_oob",
    "rpc_soak", "channel_soak",
)  # fmt: skip
"""All that need neither TLS nor credentials nor several servers."""

_RACES = ("cancel_after_begin",)
"""The client reads an answer that came before it looks whether it has cancelled the call, as a slow one may."""
_TRIES = 3

_POLICY = (
    '{"loadBalancingConfig": [{"test_backend_metrics_load_balancer": {}}]}'  # without it the orca cases see nothing
)
_LOG = {"GRPC_GO_LOG_SEVERITY_LEVEL": "info"}


class Interop:
    name = "interop"

    def __init__(self, tools: Tools) -> None:
        self._client = tools.program(GRPC_GO, "client")
        self._server = tools.program(GRPC_GO, "server")

    def judged(self, folder: Path) -> Judged:
        """The test service of gRPC."""
        return Judged(self.name, Path(__file__).parent / "interop.proto", _METHODS, "payload.body", "payload.body")

    async def alone(self, upstream: int) -> Outcomes:
        return await self.through(upstream, upstream)

    async def through(self, entrance: int, upstream: int) -> Outcomes:
        async with serving([self._server, "-port", str(upstream)], "interop server listening", _LOG):
            return {it: await self._tried(it, entrance, _TRIES if it in _RACES else 1) for it in _CASES}

    async def _tried(self, name: str, port: int, times: int) -> str:
        outcome = await self._case(name, port)
        return outcome if outcome == PASSED or times == 1 else await self._tried(name, port, times - 1)

    async def _case(self, name: str, port: int) -> str:
        target = ("-server_host", "127.0.0.1", "-server_port", str(port))
        code, said = await output_of([self._client, *target, "-test_case", name, "-service_config_json", _POLICY])
        return PASSED if code == 0 else _last_line(said.splitlines())


def _last_line(lines: Iterable[str]) -> str:
    """What the client says last, without when and where it says so."""
    return next((it.split(": ", 1)[-1] for it in reversed(list(lines)) if it.strip()), "no word")
