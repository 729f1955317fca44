"""Chains as files of the programs that run them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from appnet.processors.artifact import Artifact
from appnet.processors.grpc.objects import chains_file
from appnet.system.address import Address

_README = """\
# Chains inside of Go programs

`SERVICE/` has the chains that the program of a service runs itself. Copy that folder beside the program's `main.go`, as
`chains`, and get the module:

    go get github.com/appnet-org/appnet/go/appnet

Then add the chains to the program:

    import "embed"

    //go:embed chains
    var chains embed.FS
{clients}{servers}
Chains that are embedded change with the next build. To change them while the program runs, leave `appnet.Embedded` out,
run `appnetctl serve`, and start the program with what that prints: `APPNET_CONTROL=HOST:PORT APPNET_TRUSTED_KEYS=KEY`.
"""
_CLIENT = """
    // in {service}, which calls {others}
    grpc.NewClient(target, append(appnet.Dial("{service}", appnet.Embedded(chains)), credentials)...)
"""
_SERVER = """
    // in {service}, called by {others}
    grpc.NewServer(appnet.Serve("{service}", appnet.Embedded(chains))...)
"""


def program_files(artifacts: Sequence[Artifact], records: Address | None) -> Mapping[str, bytes]:
    """A folder for each service, and what to do with it."""
    ends = list(dict.fromkeys(it.end for it in artifacts))
    found = {}
    for end in ends:
        here = [it for it in artifacts if it.end == end]
        name = f"{end.client}.{end.server}.{end.side.value}.chains"
        found[f"chains/{end.service}/{name}"] = chains_file(end, here, records)
    clients, servers = dict[str, list[str]](), dict[str, list[str]]()
    for end in ends:
        calls, other = (servers, end.client) if end.service == end.server else (clients, end.server)
        calls.setdefault(end.service, []).append(other)
    readme = _README.format(clients=_lines(_CLIENT, clients), servers=_lines(_SERVER, servers))
    return {**found, "chains/README.md": readme.encode()} if found else {}


def _lines(form: str, services: Mapping[str, Sequence[str]]) -> str:
    return "".join(form.format(service=name, others=" and ".join(others)) for name, others in services.items())
