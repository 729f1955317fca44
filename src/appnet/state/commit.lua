-- All that instances and operators ask of the store about the strong state of one element. docs/state.md describes the keys.
--
--   join    id, kinds, lasting, first, batch     an instance begins, or begins anew
--   commit  id, birth, position, changes, batch, alive, steps
--                                                a batch of its steps, numbered from 1. `alive`: it is a beat, too, if not empty.
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
local KEPT, LOOKS, PAGE = 1024, 1024, 1000
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

-- With all arguments; the sum of what it returns.
local function call_with(command, key, arguments)
  local sum = 0
  for at = 1, #arguments, PAGE do
    sum = sum + redis.call(command, key, unpack(arguments, at, math.min(at + PAGE - 1, #arguments)))
  end
  return sum
end

-- Sets the entries, and deletes those that are false. Whether any of them is a new one.
local function set_entries(now, places)
  local set, ordered, gone = {}, {}, {}
  for member, value in pairs(now) do
    if value then
      set[#set + 1], set[#set + 2] = member, value
      ordered[#ordered + 1], ordered[#ordered + 2] = places[member], member
    else
      gone[#gone + 1] = member
    end
  end
  call_with('HDEL', entries, gone)
  call_with('ZREM', order, gone)
  call_with('ZADD', order, ordered)
  return call_with('HSET', entries, set) > 0
end

local function clear(begins)
  local gone = {}
  for _, it in ipairs(redis.call('HKEYS', entries)) do
    if string.sub(it, 1, #begins) == begins then gone[it] = false end
  end
  set_entries(gone)
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

-- Of a batch's steps those that have touched nothing of what others, or steps before that are not taken, have changed: a digit
-- for each step, and the changes of those that are taken.
local function choose(steps, changes, missed)
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

local function change(kind, name, key, value)
  return struct.pack('<BI4c0I4c0I4c0', kind, #name, name, #key, key, #value, value)
end

local function everything()
  local all = {}
  local fields = redis.call('HGETALL', values)
  for i = 1, #fields, 2 do all[#all + 1] = change(1, fields[i], '', fields[i + 1]) end
  for _, member in ipairs(redis.call('ZRANGE', order, 0, -1)) do
    local dot = string.find(member, '.', 1, true)
    local value = redis.call('HGET', entries, member)
    if value then all[#all + 1] = change(2, string.sub(member, 1, dot - 1), string.sub(member, dot + 1), value) end
  end
  return table.concat(all)
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

local function drop(name)
  make(change(4, name, '', ''), 0)
  redis.call('HDEL', values, name)
  redis.call('HDEL', meta, 'kind:' .. name)
end

-- The last instance has ended: so does what is not to outlive it.
local function finish()
  local lasting = redis.call('HGET', meta, 'lasting')
  if not lasting or lasting == '' then
    redis.call('DEL', meta, log, values, entries, order, instances)
    return
  end
  local stays = {}
  for name in string.gmatch(lasting, '[^\n]+') do stays[name] = true end
  for _, field in ipairs(redis.call('HKEYS', meta)) do
    local name = string.match(field, '^kind:(.*)$')
    if name and not stays[name] then drop(name) end
  end
  redis.call('HDEL', meta, 'birth')
  redis.call('DEL', log)
end

if command == 'commit' then
  local birth, expected, changes, batch, alive = ARGV[3], tonumber(ARGV[4]), ARGV[5], tonumber(ARGV[6]), ARGV[7]
  local steps = ARGV[8]
  local known = redis.call('HMGET', meta, 'birth', 'position', 'last:' .. id, 'shut:' .. id, 'sequence')
  if known[1] ~= birth or last_of(known[3], known[4]) >= batch then return struct.pack('<B', 2) end
  if alive ~= '' then stay(now_ms(), id) end
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

if command == 'edit' or command == 'reset' then
  local name, kind, changes = ARGV[2], ARGV[3], ARGV[4]
  local known = redis.call('HMGET', meta, 'format', 'kind:' .. name, 'position', 'sequence')
  if known[1] ~= FORMAT or known[2] ~= kind then return struct.pack('<B', 2) end
  if command == 'edit' then
    write(changes, tonumber(known[3] or '0'), tonumber(known[4] or '0'))
  else
    drop(name)
    redis.call('HDEL', meta, 'birth') -- instances join again, and bring what `init` gave it
  end
  keep()
  return struct.pack('<B', 0)
end

local now = now_ms()

if command == 'beat' then
  if redis.call('HEXISTS', meta, 'birth') == 0 then return struct.pack('<B', 2) end
  stay(now, id)
  return struct.pack('<B', 0)
end

if command == 'leave' then
  part_from(id)
  if is_over(now) then finish() end
  return struct.pack('<B', 0)
end

local kinds, lasting, first, batch = ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local policy = evicts(lasting ~= '')
if policy then return may_evict(policy) end
local format = redis.call('HGET', meta, 'format')
if format and format ~= FORMAT then return other_format(format) end
if is_over(now) then finish() end
local missing, any = {}, false
for name, kind in string.gmatch(kinds, '([^\n]-):([^\n]*)\n') do
  local there = redis.call('HGET', meta, 'kind:' .. name)
  if there and there ~= kind then return other_kind(name, there, kind) end
  if not there then
    missing[name] = true
    any = true
    redis.call('HSET', meta, 'kind:' .. name, kind)
  end
end
redis.call('HSET', meta, 'format', FORMAT, 'lasting', lasting)
redis.call('HSETNX', meta, 'position', 0)
redis.call('HSETNX', meta, 'birth', now .. '.' .. id)
if any then
  local _, sequence = make(first, tonumber(redis.call('HGET', meta, 'sequence') or '0'), missing)
  redis.call('HSET', meta, 'sequence', sequence)
  redis.call('DEL', log)
  redis.call('HINCRBY', meta, 'position', 1)
end
stay(now, id)
local known = redis.call('HMGET', meta, 'birth', 'position', 'last:' .. id)
redis.call('HSET', meta, 'shut:' .. id, batch)
local last, taken = batch_of(known[3])
return struct.pack('<BI4c0I8I8I4c0', 0, #known[1], known[1], tonumber(known[2]), last, #taken, taken) .. everything()
