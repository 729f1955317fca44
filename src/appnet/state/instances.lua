-- Which instances are there, and when state is refused: what commits seldom need.
local function now_ms()
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
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

if command == 'commit' then -- which would have ended, had it not been time for this
  stay(now_ms(), id)
  return answer
end

local MOST_ENTRIES, MOST_BYTES = 1000000, 256 * 1024 * 1024

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

-- Whether there is more than an instance can be told at once. To tell it all the same would keep all others waiting, again and
-- again. Entries that it is not told do not count.
local function too_much(without_entries)
  local all = 0
  for _, key in ipairs(without_entries and {KEYS[3]} or {KEYS[3], KEYS[4]}) do
    local count = redis.call('HLEN', key)
    if count > MOST_ENTRIES then return true end
    local size = count > 0 and redis.call('MEMORY', 'USAGE', key, 'SAMPLES', 0) or 0
    for _, field in ipairs(size > LONGEST and redis.call('HKEYS', key) or {}) do
      if redis.call('HSTRLEN', key, field) > LONGEST then return true end
    end
    all = all + size
  end
  return all > MOST_BYTES
end

local function refuse_much()
  return struct.pack('<B', 3) .. 'the store has too much of it, over a million entries, 256 MiB, or 64 MiB in one value: '
    .. 'clear it, and bound it by @capacity'
end

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

