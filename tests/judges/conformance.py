"""The conformance suite of connectrpc: its gRPC cases, each implementation of theirs once as server and as client."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.judges.chains import Judged
from tests.judges.suite import PASSED, Outcomes, output_of
from tests.judges.tools import CONFORMANCE, Tools

_SERVICE = "connectrpc/conformance/v1/service.proto"
_METHODS = ("Unary", "ServerStream", "ClientStream", "BidiStream")
_FEATURES = """\
features:
  versions: [HTTP_VERSION_2]
  protocols: [PROTOCOL_GRPC]
  codecs: [CODEC_PROTO]
  compressions: [COMPRESSION_IDENTITY, COMPRESSION_GZIP]
  supportsTls: false
"""
_RUNS = (
    ("server", "grpcserver"),
    ("server", "referenceserver"),
    ("client", "grpcclient"),
    ("client", "referenceclient"),
)
"""Which program is under test, and as what; the suite puts both of its own implementations on the other end."""

_SENT = re.compile(r'^Sending request for "(.*)"\.\.\.$', re.MULTILINE)
_FAILED = re.compile(r"^FAILED: (.*?):\n((?:\t.*\n)+)", re.MULTILINE)
_TOTAL = re.compile(r"^Total cases: (\d+)$", re.MULTILINE)


class Conformance:
    """``folder`` receives the suite's configuration."""

    name = "conformance"

    def __init__(self, tools: Tools, folder: Path) -> None:
        self._tools = tools
        self._configuration = folder / "features.yaml"
        self._configuration.write_text(_FEATURES)

    def judged(self, folder: Path) -> Judged:
        """The suite's own service."""
        shutil.copytree(self._tools.sources(CONFORMANCE) / "proto", folder, dirs_exist_ok=True)
        proto = shutil.copy(folder / _SERVICE, folder / "service.proto")  # imports start at its folder
        return Judged(self.name, Path(proto), _METHODS, "request_data", "payload.data")

    async def alone(self, upstream: int) -> Outcomes:
        found: dict[str, str] = {}
        for role, name in _RUNS:
            found |= await self._run(role, name, [self._program(name)])
        return found

    async def through(self, entrance: int, upstream: int) -> Outcomes:
        found: dict[str, str] = {}
        for role, name in _RUNS:
            stand_in = [sys.executable, Path(__file__).parent / "behind.py", role, str(entrance), self._program(name)]
            at = ("--port", str(upstream))
            command = stand_in + list(at) if role == "server" else stand_in
            found |= await self._run(role, name, command, *(at if role == "client" else ()))
        return found

    def _program(self, name: str) -> Path:
        return self._tools.program(CONFORMANCE, name)

    async def _run(self, role: str, name: str, command: Sequence[str | Path], *options: str) -> dict[str, str]:
        judge = self._program("connectconformance")
        asked = ("--vv", "--mode", role, "--max-servers", "1", "--conf", self._configuration, *options)
        _, said = await output_of([judge, *asked, "--", *command])
        cases = _SENT.findall(said)
        assert cases, said
        assert (total := _TOTAL.search(said)), said
        assert int(total[1]) == len(cases) == len(set(cases)), f"{name}: not all cases were run\n{said[-2000:]}"
        against = {it[1]: " ".join(it[2].split()) for it in _FAILED.finditer(said)}
        assert against.keys() <= set(cases)
        return {f"{name}: {it}": against.get(it, PASSED) for it in cases}
