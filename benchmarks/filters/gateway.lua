-- A quota whose counts are in a store behind a gateway: a request of HTTP for each operation on state. Between the two, others count, too.

local LIMIT = 1000000000

local function ask(handle, path)
  local headers = { [":method"] = "GET", [":path"] = path, [":authority"] = "gateway" }
  local _, body = handle:httpCall("gateway", headers, nil, 5000)
  return body
end

function envoy_on_request(handle)
  local key = handle:headers():get("x-key")
  local count = (tonumber(ask(handle, "/GET/" .. key)) or 0) + 1
  ask(handle, "/SET/" .. key .. "/" .. count)
  if count > LIMIT then handle:respond({ [":status"] = "200", ["grpc-status"] = "8" }, "") end
end
