-- What joins and merges have in common: when state is refused, and which instances are there.
local LONGEST = 64 * 1024 * 1024

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

-- Whether there is a value that no handler makes. To send it would keep all others waiting, again and again.
local function too_long()
  for _, key in ipairs({KEYS[3], KEYS[4]}) do
    for _, field in ipairs(redis.call('HKEYS', key)) do
      if redis.call('HSTRLEN', key, field) > LONGEST then return true end
    end
  end
  return false
end

local function refuse_long() return struct.pack('<B', 3) .. 'the store has a value of more than 64 MiB' end

local function is_due(now, id)
  return now - tonumber(redis.call('ZSCORE', instances, id) or '0') >= HEARD_MS
end

-- After another history has begun, all have to begin anew.
local function follow_history()
  local other = other_history()
  if not other then return end
  redis.call('HDEL', meta, 'birth')
  redis.call('HSET', meta, 'history', other)
end

local function part_from(id)
  redis.call('ZREM', instances, id)
  redis.call('HDEL', meta, 'last:' .. id, 'shut:' .. id)
end

-- Whether no instance is left, not even the one that begins anew. One that was silent for long counts as ended, but may send a
-- batch again when it is back.
local function is_over(now, id)
  for _, it in ipairs(redis.call('ZRANGEBYSCORE', instances, '-inf', now - KNOWN_MS)) do part_from(it) end
  if id and redis.call('ZSCORE', instances, id) then return false end
  return redis.call('ZCOUNT', instances, '(' .. now - ALIVE_MS, '+inf') == 0
end

