#!lua
-- The line above has a store refuse the script as a whole where it may not write: as a replica, or without memory.
--
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

-- The policy by which the store may evict the state while it is used, if any.
local function evicts(lasting)
  local told = redis.pcall('INFO', 'memory')
  local policy = type(told) == 'string' and string.match(told, 'maxmemory_policy:([%w-]+)')
  if not policy or policy == 'noeviction' or string.match(told, 'maxmemory:(%d+)') == '0' then return nil end
  return (not lasting or string.match(policy, '^allkeys')) and policy
end

local function may_evict(policy)
  return struct.pack('<B', 3) .. 'the store evicts keys when memory is short: set maxmemory-policy to noeviction, not ' .. policy
end
