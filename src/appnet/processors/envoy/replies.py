"""How a wasm module answers a call with a message, which Envoy offers modules no way to do.

Envoy makes a status without a message of every answer that a filter gives to a gRPC call, and a module cannot give a
body to a response that has none. But the answer passes the filters as any response, and Lua can: so the module marks
its answer with the header `REPLY_MARK`, a Lua filter behind the chains gives what is so marked a body of one byte, and
the module, to which that body comes next, makes the message of it and adds the trailers (`wasm/host_wasm.c`).
"""

from __future__ import annotations

from envoy.extensions.filters.http.lua.v3.lua_pb2 import Lua, LuaPerRoute
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import HttpFilter

from appnet.ir.needs import Need
from appnet.processors.artifact import Artifact
from appnet.processors.envoy.targets import REPLY_MARK, WASM

# A call that a module answers never comes to the filter: so what a server marks, or a module further on, is left alone.
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


def reply_filter(name: str) -> HttpFilter:
    """The filter, to stand behind the chains, with a name of its own."""
    filter_, lua = HttpFilter(name=name), Lua()
    lua.default_source_code.inline_string = _script(name)
    filter_.typed_config.Pack(lua)
    return filter_


def idle_reply_filter(name: str) -> HttpFilter:
    """The filter for a listener whose routes say by `route_with_replies` whether there is anything for it to do."""
    filter_ = HttpFilter(name=name, disabled=True)
    filter_.typed_config.Pack(Lua())
    return filter_


def route_with_replies(name: str) -> LuaPerRoute:
    """What has the idle filter of this name work."""
    route = LuaPerRoute()
    route.source_code.inline_string = _script(name)
    return route


def _script(name: str) -> str:
    return _SCRIPT.replace("NAME", name).replace("HEADER", REPLY_MARK)


def replies_from_wasm(artifact: Artifact) -> bool:
    """Whether a proxy that runs it needs the Lua filter."""
    return artifact.segment.place.target == WASM and any(it.need is Need.REPLY for it in artifact.asked)
