-- The chain fault, logging, firewall, metrics as a user of Envoy's Lua filter would write it. Records leave in batches
-- by asynchronous HTTP calls to the same sink that AppNet's records go to.

local FORWARDED = 0.99
local ABORTED = "10"
local BATCH = 1000

local acl = { test = "No" }
local records, count = {}, 0

local function record(handle, stream, value)
  count = count + 1
  records[count] = stream .. " " .. value
  if count == BATCH then
    local headers = { [":method"] = "POST", [":path"] = "/v1/logs", [":authority"] = "telemetry" }
    handle:httpCall("appnet-telemetry", headers, table.concat(records, "\n"), 5000, true)
    records, count = {}, 0
  end
end

local function varint(text, at)
  local value, scale = 0, 1
  while true do
    local byte = string.byte(text, at)
    if byte == nil then return nil, at end
    at = at + 1
    if byte < 128 then return value + byte * scale, at end
    value = value + (byte - 128) * scale
    scale = scale * 128
  end
end

-- The string in field 1 of a gRPC-framed message; nil where the message is malformed.
local function body_field(framed)
  local at, found = 6, ""
  while at <= #framed do
    local tag, size
    tag, at = varint(framed, at)
    if tag == nil then return nil end
    local wire_type = tag % 8
    if wire_type == 2 then
      size, at = varint(framed, at)
      if size == nil or at + size - 1 > #framed then return nil end
      if tag == 10 then found = string.sub(framed, at, at + size - 1) end
      at = at + size
    elseif wire_type == 0 then
      size, at = varint(framed, at)
      if size == nil then return nil end
    elseif wire_type == 1 then
      at = at + 8
    elseif wire_type == 5 then
      at = at + 4
    else
      return nil
    end
  end
  return found
end

local function read_field(handle)
  local body = handle:body()
  if body == nil then return nil end
  return body_field(body:getBytes(0, body:length()))
end

local function refuse(handle, code, text)
  handle:respond(
    { [":status"] = "200", ["content-type"] = "application/grpc", ["grpc-status"] = code, ["grpc-message"] = text }, "")
end

local function now_microseconds(handle)
  return tonumber(handle:timestampString(EnvoyTimestampResolution.MICROSECOND))
end

function envoy_on_request(handle)
  if handle:headers():get(":path") ~= "/echo.EchoService/echo" then return end
  if math.random() >= FORWARDED then
    refuse(handle, ABORTED, "fault_injected")
    return
  end
  local key = read_field(handle)
  if key == nil then
    refuse(handle, "13", "malformed message")
    return
  end
  record(handle, "logging.record_req", key)
  if acl[key] == "No" then
    record(handle, "logging.record_resp", "")
    refuse(handle, ABORTED, "firewall")
    return
  end
  handle:streamInfo():dynamicMetadata():set("chain", "start", now_microseconds(handle))
end

function envoy_on_response(handle)
  local noted = handle:streamInfo():dynamicMetadata():get("chain")
  if noted == nil then return end
  local key = read_field(handle)
  record(handle, "metrics.latency", (now_microseconds(handle) - noted.start) / 1e6)
  record(handle, "logging.record_resp", key or "")
end
