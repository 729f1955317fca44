-- All that instances and operators ask of the store about the strong state of one element. docs/state.md describes the keys.
--
--   join    id, kinds, lasting, first, batch     an instance begins, or begins anew
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
-- written likewise: 5 an entry, 6 all of a variable; without a name, all that there is. The answer begins with a byte:
--
--   0  join: text birth | u64 position | u64 number of its last batch that is in the store | text taken, of that batch |
--      changes, from nothing to what there is. Batches up to the one that it names come too late from now on
--      commit: u64 position after it
--   1  commit: others were faster: u64 position after it | text taken | their changes since the given one. `taken` has a
--      digit for each step: 1 where it is in the store, behind theirs, for it has touched nothing that they have changed;
--      else 0. Without digits, all of a batch is taken
--   2  commit, beat: the state is another one, or has moved too far, or the batch comes too late: join again
--      edit, reset: the variable is not there, or of another type
--   3  join: refused, for the reason that follows
local _, log, values, entries, order = unpack(KEYS)
local KEPT, LOOKS = 1024, 1024
local command, id = ARGV[1], ARGV[2]

-- Of each change its kind, name, key and value.
local function each(changes)
  local at, size = 1, #changes
  return function()
    if at > size then return nil end
    local kind, name, key, value
    kind, name, key, value, at = struct.unpack('<BI4c0I4c0I4c0', changes, at)
    return kind, name, key, value
  end
end

-- Sets the entries, and deletes those that are false. Whether any of them is a new one.
local function set_entries(now, places)
  local fresh = false
  for member, value in pairs(now) do
    if value then
      fresh = redis.call('HSET', entries, member, value) > 0 or fresh
      redis.call('ZADD', order, places[member], member)
    else
      redis.call('HDEL', entries, member)
      redis.call('ZREM', order, member)
    end
  end
  return fresh
end

local function clear(begins)
  for _, it in ipairs(redis.call('HKEYS', entries)) do
    if string.sub(it, 1, #begins) == begins then
      redis.call('HDEL', entries, it)
      redis.call('ZREM', order, it)
    end
  end
end

-- Makes the last change of each entry. Whether a key of the store may be a new one, and the number of the last entry that was
-- set, of which there were `sequence`.
local function make(changes, sequence, wanted)
  local fresh, now, places = false, {}, {}
  for kind, name, key, value in each(changes) do
    local member = name .. '.' .. key
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
      fresh = set_entries(now, places) or fresh
      now = {}
      clear(member)
    end
  end
  return set_entries(now, places) or fresh, sequence
end

-- Of a batch's steps those that have touched nothing of what others, or steps before that are not taken, have changed: a digit
-- for each step, and the changes of those that are taken.
local function choose(steps, changes, missed)
  -- What changes have spoilt for those who have not seen them: `name` something of the variable, `name:` all of it, `name.key` an
  -- entry. Nil where there are too many to look at.
  local function spoil(spoilt, changes, looked)
    for kind, name, key in each(changes) do
      looked = looked + 1
      if looked > LOOKS then return nil end
      spoilt[name] = true
      if kind == 2 or kind == 3 then spoilt[name .. '.' .. key] = true else spoilt[name .. ':'] = true end
    end
    return looked
  end

  local function touches(spoilt, touched)
    for kind, name, key in each(touched) do
      if kind == 1 or kind == 4 or kind == 6 then
        if name == '' or spoilt[name] then return true end
      elseif spoilt[name .. ':'] or spoilt[name .. '.' .. key] then
        return true
      end
    end
    return false
  end

  local spoilt, looked, taken, made = {}, 0, {}, {}
  for _, it in ipairs(missed) do looked = looked and spoil(spoilt, it, looked) end
  local at, changed = 1, 1
  while at <= #steps do
    local size, read
    size, read, at = struct.unpack('<I4I4c0', steps, at)
    local own = string.sub(changes, changed, changed + size - 1)
    changed = changed + size
    local whole = looked and not touches(spoilt, read) and not touches(spoilt, own)
    taken[#taken + 1] = whole and '1' or '0'
    if whole then made[#made + 1] = own else looked = looked and spoil(spoilt, own, looked) end
  end
  return table.concat(taken), table.concat(made)
end

-- Makes a batch of changes at the position, and sets more fields of `meta`. True where a key of the store may be a new one.
local function write(changes, position, sequence, ...)
  local fresh
  fresh, sequence = make(changes, sequence)
  redis.call('HSET', meta, 'position', position + 1, 'sequence', sequence, ...)
  local length = redis.call('RPUSH', log, changes)
  if length > 2 * KEPT then redis.call('LTRIM', log, -KEPT, -1) end
  return fresh or length == 1
end

if command == 'commit' then
  local birth, expected, changes, batch, alive = ARGV[3], tonumber(ARGV[4]), ARGV[5], tonumber(ARGV[6]), ARGV[7]
  local steps = ARGV[8]
  local known = redis.call('HMGET', meta, 'birth', 'position', 'last:' .. id, 'shut:' .. id, 'sequence')
  if known[1] ~= birth or last_of(known[3], known[4]) >= batch then return struct.pack('<B', 2) end
  if alive ~= '' and other_history() then return struct.pack('<B', 2) end
  if alive == '1' then stay(now_ms(), id) end
  local position, taken, missed = tonumber(known[2]), '', nil
  if position ~= expected then
    local length = redis.call('LLEN', log)
    if expected > position or expected < position - length then return struct.pack('<B', 2) end
    missed = redis.call('LRANGE', log, length - (position - expected), -1)
    taken, changes = choose(steps, changes, missed)
  end
  if changes ~= '' then
    if string.find(taken, '0', 1, true) then batch = batch .. ' ' .. taken end
    local fresh = write(changes, position, tonumber(known[5] or '0'), 'last:' .. id, batch)
    if fresh and redis.call('PTTL', meta) > 0 then stay(now_ms(), id) end -- as a new key it would last
    position = position + 1
  end
  if not missed then return struct.pack('<BI8', 0, position) end
  return struct.pack('<BI8I4c0', 1, position, #taken, taken) .. table.concat(missed)
end

