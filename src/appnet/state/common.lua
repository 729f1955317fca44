#!lua
-- The line above has a store refuse the script as a whole where it may not write: as a replica, or without memory.
--
-- The script is this file, commit.lua, instances.lua, merge.lua and join.lua, one behind the other. Whatever it is asked, all
-- functions on the way there are made first, which takes longer than what a commit does: so that comes early, and what
-- it does not need later.
local FORMAT, ALIVE_MS, ENDS_MS, HEARD_MS, KNOWN_MS = '1', 30000, 120000, 5000, 3600000
local meta, instances = KEYS[1], KEYS[6]

local function now_ms()
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end

-- The name of the history of the store's data, where it is another one than when the state was last joined; a store may not tell.
-- Another one begins where the store is restarted or a replica takes over: the end of what there was may be lost, and then
-- others may have come as far in it as instances were that have not noticed.
local function other_history()
  local told = redis.pcall('INFO', 'replication')
  local name = type(told) == 'string' and string.match(told, 'master_replid:(%x+)')
  return name and name ~= redis.call('HGET', meta, 'history') and name
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

-- The number of a batch, and which of its steps were taken; nothing where it is all of them.
local function batch_of(known)
  local number, taken = string.match(known or '0', '^(%d+) ?(%d*)$')
  return tonumber(number), taken
end

local function last_of(known, shut)
  return math.max(batch_of(known), tonumber(shut or '0'))
end

