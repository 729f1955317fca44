"""What people attach chains with: for each end of each edge a bundle, programs of the shell, and how to use them."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from dataclasses import asdict
from string import Template
from typing import Any

from appnet.application.model import EdgeEnd, Side
from appnet.processors.artifact import Artifact
from appnet.processors.mrpc.bundles import bundle, by_end, layouts
from appnet.processors.mrpc.standing import LIBRARY, PLUGIN
from appnet.system.address import Address

_ONE = Template("""\
#!/bin/sh
# $what the chain of $edge on the $side's side, $whom the program of $service:
#     $name PID [SID]
# PID: its process. SID: which of its subscriptions of mRPC, where it has several.
set -eu
if [ "$$#" -lt 1 ] || [ "$$#" -gt 2 ]; then
    echo "usage: $$0 PID [SID]" >&2
    exit 2
fi
$command
""")
_HERE = """here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
"""
_ALL = Template("""\
#!/bin/sh
# $what all chains, $order:
#     $name SERVICE=PID …
# or CLIENT_SERVER/SIDE=PID/SID for an end whose program has several subscriptions of mRPC.
set -eu
here=$$(CDPATH='' cd -- "$$(dirname -- "$$0")" && pwd)

# The program at an end, of what was given: run_at SERVICE FOLDER GIVEN…
run_at() {
    service=$$1 folder=$$2 found=''
    shift 2
    for it in "$$@"; do
        case $$it in
            "$$folder="*) found=$${it#*=} && break ;;
            "$$service="*) found=$${it#*=} ;;
        esac
    done
    if [ -z "$$found" ]; then
        echo "$$0: say the process of $$service: $$service=PID" >&2
        exit 2
    fi
    case $$found in
        */*) "$$here/$$folder/$program" "$${found%/*}" "$${found#*/}" ;;
        *) "$$here/$$folder/$program" "$$found" ;;
    esac
}

$calls
""")
_PLUGIN = f"""\
# What Phoenix loads so that it has engines of AppNet: for its tool `upgrade --config`, or a part of phoenix.toml.
[[addons]]
name = "{PLUGIN}"
lib_path = "plugins/lib{LIBRARY}.rlib"
config_string = ''
"""
_README = Template("""\
# $application, compiled by AppNet for mRPC

| | |
|---|---|
| `CLIENT_SERVER/SIDE/chain.mrpc` | what the engine at an end of an edge loads: module and layouts of messages |
| `CLIENT_SERVER/SIDE/layouts.json` | the same layouts, to read |
| `CLIENT_SERVER/SIDE/attach.sh`, `upgrade.sh`, `detach.sh` | programs for that end |
| `attach_all.sh`, `upgrade_all.sh`, `detach_all.sh` | the same for all ends |
| `load-appnet.toml` | what Phoenix loads so that it has engines of AppNet |
| `code/` | each module: its C text, and what it was built into |
| `plan.json` | which element runs where, and why |
| `order.yaml` | what the next compilation replaces |

These are the ends, in the order in which a request passes them:

$ends

1. Build the adapter in a checkout of Phoenix, and load it: see the page "mRPC" of AppNet's docs.
2. Start the programs. `appnetctl attach` shows their processes and subscriptions.
3. Attach all chains: `./attach_all.sh $given`

After another compilation, `./upgrade_all.sh $given` replaces the modules while calls run; elements keep their state.
`./detach_all.sh $given` takes the engines away.
""")


def files(application: str, artifacts: Sequence[Artifact], records: Address | None) -> dict[str, bytes]:
    """The files, by paths. Each end has one artifact, whose messages mRPC has a place for."""
    ends = [(end, here[0]) for end, here in by_end(artifacts).items()]
    found: dict[str, bytes] = {}
    for end, artifact in ends:
        folder = folder_of(end)
        found[f"{folder}/chain.mrpc"] = bundle(artifact, records)
        found[f"{folder}/layouts.json"] = (json.dumps(_plain(asdict(layouts(artifact))), indent=2) + "\n").encode()
        for program in _PROGRAMS:
            found[f"{folder}/{program}.sh"] = _program(program, end).encode()
    names = [end for end, _ in ends]
    for program in _PROGRAMS:
        found[f"{program}_all.sh"] = _all(program, names).encode()
    found["load-appnet.toml"] = _PLUGIN.encode()
    found["README.md"] = _readme(application, names).encode()
    return found


def folder_of(end: EdgeEnd) -> str:
    """Where the files of an end are."""
    return f"{end.client}_{end.server}/{end.side.value}"


_PROGRAMS = {"attach": ("Attaches", "to"), "upgrade": ("Upgrades", "in"), "detach": ("Detaches", "from")}


def _program(program: str, end: EdgeEnd) -> str:
    what, whom = _PROGRAMS[program]
    where = '--pid "$1" ${2:+--sid "$2"}'
    command = f'{_HERE}exec appnetctl {program} "$here/chain.mrpc" {where}'
    if program == "detach":
        command = f"exec appnetctl detach --side {end.side.value} {where}"
    return _ONE.substitute(
        what=what,
        whom=whom,
        edge=f"{end.client}->{end.server}",
        side=end.side.value,
        service=end.service,
        name=f"{program}.sh",
        command=command,
    )


def _all(program: str, ends: Sequence[EdgeEnd]) -> str:
    """Ends are attached against the way of requests, and detached along it: what one writes, another may read."""
    order = list(ends) if program == "detach" else list(ends)[::-1]
    calls = [f'run_at {shlex.quote(it.service)} {shlex.quote(folder_of(it))} "$@"' for it in order]
    return _ALL.substitute(
        what=_PROGRAMS[program][0],
        order="each end in its turn",
        name=f"{program}_all.sh",
        program=f"{program}.sh",
        calls="\n".join(calls),
    )


def _readme(application: str, ends: Sequence[EdgeEnd]) -> str:
    side = {Side.CLIENT: "where calls leave it", Side.SERVER: "where calls reach it"}
    rows = [f"* `{folder_of(it)}`: the program of `{it.service}`, {side[it.side]}" for it in ends]
    services = dict.fromkeys(it.service for it in ends)
    given = " ".join(f"{it}=PID" for it in services)
    return _README.substitute(application=application, ends="\n".join(rows), given=given)


def _plain(value: Any) -> Any:
    """As JSON has it: bytes as hex digits."""
    if isinstance(value, dict):
        return {key: _plain(it) for key, it in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(it) for it in value]
    return value.hex() if isinstance(value, bytes) else value
