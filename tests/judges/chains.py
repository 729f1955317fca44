"""The applications whose calls judges make, and the chains between which nobody may tell a difference."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from appnet.compile.fit import Where, load_application
from appnet.compile.pipeline import Version, compile_application
from appnet.diagnostics.source import FileSource
from appnet.optimize import Settings

_HEAD = "state:\n    {state}\n\ninit():\n    pass\n\n"
_PASS = "req(rpc):\n    send(rpc, Down)\n\nresp(rpc):\n    send(rpc, Up)\n"
_REFUSE = "{indent}send(err('refused by a judge'), Up)\n"
_MARK = "judges:"
"""What the chains that write put before texts of the messages, and take away again on the other side."""


@dataclass(frozen=True)
class Judged:
    """An application. ``request`` and ``response`` are fields, of bytes, that the messages of all ``methods`` have."""

    name: str
    proto: Path
    methods: tuple[str, ...]
    request: str
    response: str


@dataclass(frozen=True)
class Chain:
    """What runs beside the client and what beside the server; ``reads_messages``: not all methods will do."""

    client: str
    server: str
    reads_messages: bool = False


def chain(name: str, judged: Judged) -> Chain:
    """One of `CHAINS`, or one that ``refuses`` all calls, for the messages of the application."""
    match name:
        case "nothing":
            element = _HEAD.format(state="pass") + _PASS
            return Chain(element, element)
        case "headers":
            element = _HEAD.format(state="pass") + _headers_read()
            return Chain(element, element)
        case "refuses":
            element = _HEAD.format(state="pass") + _refuses()
            return Chain(element, element)
        case "reads":
            element = _HEAD.format(state="longest: uint") + _messages_read(judged)
            return Chain(element, element, reads_messages=True)
        case "writes":
            marks = _HEAD.format(state="pass") + _written("req", judged.request, _MARKED, "Down")
            marks += _written("resp", judged.response, _UNMARKED, "Up")
            unmarks = _HEAD.format(state="pass") + _written("req", judged.request, _UNMARKED, "Down")
            unmarks += _written("resp", judged.response, _MARKED, "Up")
            return Chain(marks, unmarks, reads_messages=True)
    raise KeyError(name)


CHAINS = ("nothing", "headers", "reads", "writes")
"""An element that reads nothing, one that reads metadata, one that reads messages, two that write and unwrite them."""


def compiled(name: str, judged: Judged, target: str, folder: Path) -> Version:
    """The chain of that name around the application, for the target; ``folder`` receives its sources."""
    what = chain(name, judged)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "client.appnet").write_text(what.client)
    (folder / "server.appnet").write_text(what.server)
    (folder / "manifest.yaml").write_text("---\n".join(map(_service, ("client", "server"))))
    methods = f"[{', '.join(judged.methods)}]" if what.reads_messages else "'*'"
    (folder / "config.yaml").write_text(_CONFIG.format(name=judged.name, methods=methods, proto=judged.proto))
    application = load_application(FileSource(folder / "config.yaml"))
    return compile_application(application, Settings(), Where(target))


_CONFIG = """\
apiVersion: api.core.appnet.io/v1
kind: AppNetConfig
metadata:
  name: {name}
spec:
  processors: [sidecar]
  appName: {name}
  clientService: client
  serverService: server
  method: {methods}
  appManifestFile: manifest.yaml
  clientChain:
    - name: at-client
      file: client.appnet
  serverChain:
    - name: at-server
      file: server.appnet
  proto: {proto}
"""


def _service(name: str) -> str:
    port = "ports: [{name: grpc, port: 9000, appProtocol: grpc}]"
    return f"apiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\nspec:\n  selector: {{app: {name}}}\n  {port}\n"


def _headers_read() -> str:
    judged = "    if get_metadata(rpc, 'x-refused') != '':\n" + _REFUSE.format(indent=" " * 8)
    return f"req(rpc):\n{judged}    send(rpc, Down)\n\nresp(rpc):\n{judged}    send(rpc, Up)\n"


def _refuses() -> str:
    return f"req(rpc):\n{_REFUSE.format(indent=' ' * 4)}\nresp(rpc):\n    send(rpc, Up)\n"


def _messages_read(judged: Judged) -> str:
    def block(name: str, field: str, direction: str) -> str:
        lines = f"{name}(rpc):\n    length = size(get(rpc, '{field}'))\n    if length > longest:\n        longest = length\n"
        lines += f"    if get(rpc, '{field}') == 'refused':\n" + _REFUSE.format(indent=" " * 8)
        return f"{lines}    send(rpc, {direction})\n"

    return f"{block('req', judged.request, 'Down')}\n{block('resp', judged.response, 'Up')}"


def _written(block: str, field: str, change: str, direction: str) -> str:
    return f"{block}(rpc):\n{change.format(field=field, mark=_MARK, size=len(_MARK))}    send(rpc, {direction})\n\n"


_MARKED = """\
    if size(get(rpc, '{field}')) > 0:
        set(rpc, '{field}', concat('{mark}', get(rpc, '{field}')))
"""
_UNMARKED = """\
    if starts_with(get(rpc, '{field}'), '{mark}'):
        set(rpc, '{field}', substring(get(rpc, '{field}'), {size}, 2147483647))
"""
