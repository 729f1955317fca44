-- All that instances and operators ask of the store about the strong state of one element. docs/state.md describes the keys.
--
--   join    id, kinds, lasting, first, batch, bound
--                                                an instance begins, or begins anew. `bound`: a capacity, a blank and the name
--                                                of a Map that instances know in part, of which the store drops what is too much
--   commit  id, birth, position, changes, batch, alive, steps
--                                                a batch of its steps, numbered from 1. `alive`: 1 is a beat, too; 0: it has not
--                                                heard of the store for a while, which may have lost something since
--                                                `steps`: of each step  u32 size of its changes | text what it read besides
--   beat    id                                   it is alive, which commits may tell as well
--   leave   id                                   it has ended
--   edit    name, kind, changes                  an operator changes the variable, which is of that type
--   reset   name, kind                           and resets it to what `init` sets
--
-- Changes are a sequence of  u8 kind | text variable | text key | text value,  little-endian, a text being a u32 size and
-- bytes. Kinds: 1 gives a variable its value, 2 sets an entry of a Map, 3 deletes one, 4 empties a Map. What a step read is
-- written likewise: 5 an entry, 6 all of a variable; without a name, all that there is; 247 an entry that the instance does
-- not know, and took for absent. The answer begins with a byte:
--
--   0  join: text birth | u64 position | u64 number of its last batch that is in the store | text taken, of that batch |
--      changes, from nothing to what there is, without a Map that is known in part. Batches up to the one that it names come
--      too late from now on
--      commit: u64 position after it
--   1  commit: u64 position after it | text taken | changes that come before those of the batch: those of others, who were
--      faster, since the given position, and of entries that are there, though the instance took them for absent. `taken` has
--      a digit for each step: 1 where it is in the store, behind these, for it has touched nothing that they have changed;
--      else 0. Without digits, all of a batch is taken
--   2  commit, beat: the state is another one, or has moved too far, or the batch comes too late: join again
--      edit, reset: the variable is not there, or of another type
--   3  join, commit: refused, for the reason that follows
local log, values, entries, order = KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local KEPT, LOOKS = 1024, 1024
local LONGEST, TOLD = 64 * 1024 * 1024, 4 * 1024 * 1024 -- bytes: of a value, and of those that one answer tells
local UNKNOWN = 247 -- no byte of a text, nor the size of many
local command, id = ARGV[1], ARGV[2]

-- Asks for a command about so many things; whether it did anything to a new one.
local function ask(command, of, things)
  local new = 0
  for first = 1, #things, AT_ONCE do
    new = new + redis.call(command, of, unpack(things, first, math.min(first + AT_ONCE - 1, #things)))
  end
  return new > 0
end

-- Makes changes; of the variables in `wanted`, where it is given. Whether a key of the store may be a new one, and the number of
-- the last entry that was set, of which there were `sequence`.
local function make(changes, sequence, wanted)
  if changes == '' then return false, sequence end
  local kind, name, key, value, at = struct.unpack('<BI4c0I4c0I4c0', changes)
  local member = name .. '.' .. key
  if kind == 2 and at > #changes and not wanted then -- what most steps do
    sequence = sequence + 1
    redis.call('ZADD', order, sequence, member)
    return redis.call('HSET', entries, member, value) > 0, sequence
  end

  -- Only the last change of each entry is made: its value, or false where it goes.
  local fresh, now, places = false, {}, {}
  at = 1
  while at <= #changes do
    kind, name, key, value, at = struct.unpack('<BI4c0I4c0I4c0', changes, at)
    member = name .. '.' .. key
    if wanted and not wanted[name] then
      -- it is there already
    elseif kind == 1 then
      fresh = redis.call('HSET', values, name, value) > 0 or fresh
    elseif kind == 2 then
      sequence = sequence + 1
      now[member], places[member] = value, sequence
    elseif kind == 3 then
      now[member] = false
    elseif kind == 4 then
      for _, it in ipairs(redis.call('HKEYS', entries)) do
        if string.sub(it, 1, #member) == member then now[it] = false end
      end
      for it in pairs(now) do
        if string.sub(it, 1, #member) == member then now[it] = false end
      end
    end
  end
  local set, placed, gone = {}, {}, {}
  for it, value in pairs(now) do
    if value then
      set[#set + 1], set[#set + 2] = it, value
      placed[#placed + 1], placed[#placed + 2] = places[it], it
    else
      gone[#gone + 1] = it
    end
  end
  fresh = ask('HSET', entries, set) or fresh
  ask('ZADD', order, placed)
  ask('HDEL', entries, gone)
  ask('ZREM', order, gone)
  return fresh, sequence
end

-- Of a batch's steps those that have touched nothing of what others, or steps before that are not taken, have changed, and took
-- nothing for absent that is there: a digit for each step, the changes of those that are taken, and those that tell what is
-- there. Without digits, the reason to refuse the batch.
local function choose(steps, changes, missed)
  -- What changes have spoilt for those who have not seen them: of each variable that has changed, `all` of it, or the entries
  -- at the `keys`. After `LOOKS` changes, nobody looks further, and everything counts as spoilt.
  local spoilt, looked = {}, 0
  local mine, told, cold, bytes, flaw = {}, {}, {}, 0, nil

  local function spoil(changes, at, stop)
    while at < stop and looked <= LOOKS do
      local kind, name, key, size
      kind, name, key, size, at = struct.unpack('<BI4c0I4c0I4', changes, at)
      at = at + size
      looked = looked + 1
      local of = spoilt[name]
      if not of then
        of = {keys = {}}
        spoilt[name] = of
      end
      if kind == 2 or kind == 3 then of.keys[key] = true else of.all = true end
    end
  end

  -- Steps that are taken: an instance knows them, unless there are so many that it has dropped the first of them again.
  local function note(changes, at, stop)
    while at < stop do
      local _, name, key, size
      _, name, key, size, at = struct.unpack('<BI4c0I4c0I4', changes, at)
      at = at + size
      mine[name .. '.' .. key] = true
    end
  end

  local function is_there(name, key)
    local member = name .. '.' .. key
    if mine[member] or told[member] then return true end
    local size = redis.call('HSTRLEN', entries, member)
    if size == 0 then return false end
    if size > LONGEST then flaw = 'the store has more than 64 MiB at a key of `' .. name .. '`: delete it' end
    if size <= LONGEST and (bytes == 0 or bytes + size <= TOLD) then -- else with a later batch
      local value = redis.call('HGET', entries, member)
      cold[#cold + 1] = struct.pack('<BI4c0I4c0I4c0', 2, #name, name, #key, key, #value, value)
      told[member], bytes = true, bytes + size
    end
    return true
  end

  local function touches(touched, at, stop)
    while at < stop do
      local kind, name, key, size
      kind, name, key, size, at = struct.unpack('<BI4c0I4c0I4', touched, at)
      at = at + size
      local of = spoilt[name]
      local one = kind == 2 or kind == 3 or kind == 5 or kind == UNKNOWN
      if (name == '' and #missed > 0) or (of and (of.all or of.keys[key] or not one)) then return true end
      if kind == UNKNOWN and is_there(name, key) then return true end
    end
    return false
  end

  local unknown = string.find(steps, string.char(UNKNOWN), 1, true)
  for _, it in ipairs(missed) do spoil(it, 1, #it + 1) end
  local taken, made, at, own = {}, {}, 1, 1
  while at <= #steps do
    local size, read
    size, read, at = struct.unpack('<I4I4c0', steps, at)
    local stop = own + size
    if looked > LOOKS or touches(read, 1, #read + 1) or touches(changes, own, stop) then
      taken[#taken + 1] = '0'
      spoil(changes, own, stop)
    else
      taken[#taken + 1] = '1'
      made[#made + 1] = string.sub(changes, own, stop - 1)
      if unknown then note(changes, own, stop) end
    end
    own = stop
  end
  if flaw then return nil, flaw end
  return table.concat(taken), table.concat(made), table.concat(cold)
end

-- Of the Map that the store has to bound, what is too much goes: those that were set longest ago, up to two for each that was set
-- now, and none that was. As changes.
local function evict(bound, before, now)
  local most, name = string.match(bound or '', '^(%d+) (.*)$')
  if not most then return '' end
  local over = redis.call('HLEN', entries) - tonumber(most)
  if over <= 0 then return '' end
  local gone = redis.call('ZRANGEBYSCORE', order, '-inf', before, 'LIMIT', 0, math.min(over, 2 * (now - before)))
  ask('HDEL', entries, gone)
  ask('ZREM', order, gone)
  for i, member in ipairs(gone) do
    local key = string.sub(member, #name + 2)
    gone[i] = struct.pack('<BI4c0I4c0I4', 3, #name, name, #key, key, 0)
  end
  return table.concat(gone)
end

-- Makes a batch of changes at the position, and sets more fields of `meta`. True where a key of the store may be a new one. What is
-- dropped for it is a batch of its own behind it, which all instances learn of as they do of each other's.
local function write(changes, position, sequence, bound, ...)
  local fresh, now = make(changes, sequence)
  local gone = evict(bound, sequence, now)
  redis.call('HSET', meta, 'position', position + (gone == '' and 1 or 2), 'sequence', now, ...)
  local length = redis.call('RPUSH', log, changes)
  if gone ~= '' then redis.call('RPUSH', log, gone) end
  if length > 2 * KEPT then redis.call('LTRIM', log, -KEPT, -1) end
  return fresh or length == 1
end

local answer
if command == 'commit' then
  local _, _, birth, expected, changes, batch, alive, steps = unpack(ARGV)
  local known = redis.call('HMGET', meta, 'birth', 'position', 'last:' .. id, 'shut:' .. id, 'sequence', 'bound')
  local last = math.max(tonumber(string.match(known[3] or '0', '^%d+')), tonumber(known[4] or '0'))
  if known[1] ~= birth or last >= tonumber(batch) then return struct.pack('<B', 2) end
  if alive ~= '' and other_history() then return struct.pack('<B', 2) end
  local position, taken, before = tonumber(known[2]), '', nil
  expected = tonumber(expected)
  if position ~= expected then
    local length = redis.call('LLEN', log)
    if expected > position or expected < position - length then return struct.pack('<B', 2) end
    before = redis.call('LRANGE', log, length - (position - expected), -1)
  end
  if before or string.find(steps, string.char(UNKNOWN), 1, true) then
    local cold
    taken, changes, cold = choose(steps, changes, before or {})
    if not taken then return struct.pack('<B', 3) .. changes end
    if string.find(taken, '0', 1, true) then before = before or {} end
    if before then before[#before + 1] = cold end
  end
  local heard = alive == '1'
  if changes ~= '' then
    if string.find(taken, '0', 1, true) then batch = batch .. ' ' .. taken end
    local fresh = write(changes, position, tonumber(known[5] or '0'), known[6], 'last:' .. id, batch)
    heard = heard or (fresh and redis.call('PTTL', meta) > 0) -- as a new key it would last
    position = position + 1
  end
  answer = struct.pack('<BI8', 0, position)
  if before then answer = struct.pack('<BI8I4c0', 1, position, #taken, taken) .. table.concat(before) end
  if not heard then return answer end
end

