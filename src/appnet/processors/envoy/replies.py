"""How a wasm module answers a call with a message, which Envoy offers modules no way to do.

Envoy makes a status without a message of every answer that a filter gives to a gRPC call, and a module cannot give a
body to a response that has none. But the answer passes the filters as any response, and Lua can: so the module marks its
answer with the header `REPLY`, a Lua filter behind the chains gives what is so marked a body of one byte, and the module,
to which that body comes next, makes the message of it and adds the trailers (`wasm/host_wasm.c`).
"""

from __future__ import annotations

from appnet.ir.needs import Need
from appnet.processors.artifact import Artifact
from appnet.processors.envoy.targets import WASM

REPLY = "x-appnet-reply"
"""The header; the module takes it away."""

_SCRIPT = """\
function envoy_on_request(handle)
  handle:streamInfo():dynamicMetadata():set("NAME", "passed", true)
end

function envoy_on_response(handle)
  if handle:headers():get("HEADER") == nil then
    return
  end
  local known = handle:streamInfo():dynamicMetadata():get("NAME")
  if known ~= nil and known["passed"] then
    return
  end
  handle:body(true):setBytes("?")
end
"""


def reply_script(name: str) -> str:
    """The Lua code of the filter ``name``.

    A call that a module answers never comes to the filter: so what a server marks, or a module further on, is left alone.
    """
    return _SCRIPT.replace("NAME", name).replace("HEADER", REPLY)


def replies_from_wasm(artifact: Artifact) -> bool:
    """Whether a proxy that runs it needs the Lua filter."""
    return artifact.segment.place.target == WASM and any(it.need is Need.REPLY for it in artifact.asked)
