-- What the parts of the script have in common: it is this file, merge.lua and commit.lua, one behind the other.
local FORMAT, ALIVE_MS, ENDS_MS = '1', 30000, 120000

local function now_ms()
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end

local function other_format(format)
  return struct.pack('<B', 3) .. 'the store has it in format ' .. format .. ', and this version knows ' .. FORMAT
end

local function other_kind(name, there, here)
  return struct.pack('<B', 3) .. 'in the store, `' .. name .. '` is of type ' .. there .. ', and here ' .. here
end
