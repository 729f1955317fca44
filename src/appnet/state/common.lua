#!lua
-- The line above has a store refuse the script as a whole where it may not write: as a replica, or without memory.
--
-- What the parts of the script have in common: it is this file, merge.lua and commit.lua, one behind the other.
local FORMAT, ALIVE_MS, ENDS_MS, HEARD_MS, KNOWN_MS = '1', 30000, 120000, 5000, 3600000
local meta, instances = KEYS[1], KEYS[6]

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

-- Who is there. Of each instance `meta` has `last:ID`, the number of its last batch that is in the store (and a digit for each
-- of its steps, where some are not), and `shut:ID`, the number up to which its batches come too late, since it began anew
-- behind them.

local function lasts()
  local lasting = redis.call('HGET', meta, 'lasting')
  return lasting and lasting ~= ''
end

local function keep()
  local lasting = lasts()
  for _, key in ipairs(KEYS) do
    if lasting then redis.call('PERSIST', key) else redis.call('PEXPIRE', key, ENDS_MS) end
  end
end

-- The instance was heard.
local function stay(now, id)
  redis.call('ZADD', instances, now, id)
  keep()
end

local function is_due(now, id)
  return now - tonumber(redis.call('ZSCORE', instances, id) or '0') >= HEARD_MS
end

local function part_from(id)
  redis.call('ZREM', instances, id)
  redis.call('HDEL', meta, 'last:' .. id, 'shut:' .. id)
end

-- Whether no instance is left. One that was silent for long counts as ended, but may send a batch again when it is back.
local function is_over(now)
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', instances, '-inf', now - KNOWN_MS)) do part_from(id) end
  return redis.call('ZCOUNT', instances, '(' .. now - ALIVE_MS, '+inf') == 0
end

-- The number of a batch, and which of its steps were taken; nothing where it is all of them.
local function batch_of(known)
  local number, taken = string.match(known or '0', '^(%d+) ?(%d*)$')
  return tonumber(number), taken
end

local function last_of(known, shut)
  return math.max(batch_of(known), tonumber(shut or '0'))
end
