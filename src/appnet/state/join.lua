-- Instances join and end, and operators change what there is: commit.lua says what all of these are told.
local function change(kind, name, key, value)
  return struct.pack('<BI4c0I4c0I4c0', kind, #name, name, #key, key, #value, value)
end

local function everything(without_entries)
  local all = {}
  local fields = redis.call('HGETALL', values)
  for i = 1, #fields, 2 do all[#all + 1] = change(1, fields[i], '', fields[i + 1]) end
  if without_entries then return table.concat(all) end
  for first = 0, redis.call('ZCARD', order) - 1, AT_ONCE do
    local page, members = {}, redis.call('ZRANGE', order, first, first + AT_ONCE - 1)
    local found = redis.call('HMGET', entries, unpack(members))
    for i, member in ipairs(members) do
      local value, name, key = found[i], string.match(member, '^([^.]*)%.(.*)$')
      if value then -- in parts, for Lua takes long with many long texts that are much alike
        local n = #page
        page[n + 1], page[n + 2], page[n + 3] = struct.pack('<BI4', 2, #name), name, struct.pack('<I4', #key)
        page[n + 4], page[n + 5], page[n + 6] = key, struct.pack('<I4', #value), value
      end
    end
    all[#all + 1] = table.concat(page)
  end
  return table.concat(all)
end

-- The Map is the only one that the state has.
local function is_alone(name)
  for _, field in ipairs(redis.call('HKEYS', meta)) do
    local other = string.match(field, '^kind:(.*)$')
    if other and other ~= name and string.find(redis.call('HGET', meta, field), '^Map<') then return false end
  end
  return true
end

local function drop(name)
  if is_alone(name) then redis.call('DEL', entries, order) else make(change(4, name, '', ''), 0) end
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

if command == 'edit' or command == 'reset' then
  local name, kind, changes = ARGV[2], ARGV[3], ARGV[4]
  local known = redis.call('HMGET', meta, 'format', 'kind:' .. name, 'position', 'sequence')
  if known[1] ~= FORMAT or known[2] ~= kind then return struct.pack('<B', 2) end
  if command == 'edit' then
    write(changes, tonumber(known[3] or '0'), tonumber(known[4] or '0'), nil)
  else
    drop(name)
    redis.call('HDEL', meta, 'birth') -- instances join again, and bring what `init` gave it
  end
  keep()
  return struct.pack('<B', 0)
end

local now = now_ms()

if command == 'beat' then
  if redis.call('HEXISTS', meta, 'birth') == 0 or other_history() then return struct.pack('<B', 2) end
  stay(now, id)
  return struct.pack('<B', 0)
end

if command == 'leave' then
  part_from(id)
  if is_over(now) then finish() end
  return struct.pack('<B', 0)
end

local kinds, lasting, first, batch, bound = ARGV[3], ARGV[4], ARGV[5], ARGV[6], ARGV[7] or ''
local in_part = string.match(bound, '^%d+ (.*)$')
local policy = evicts(lasting ~= '')
if policy then return may_evict(policy) end
local format = redis.call('HGET', meta, 'format')
if format and format ~= FORMAT then return other_format(format) end
if too_much(in_part) then return refuse_much() end
if is_over(now, id) then finish() end
follow_history()
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
-- Beside another version's Map, the store cannot tell how large it is.
redis.call('HSET', meta, 'format', FORMAT, 'lasting', lasting, 'bound', in_part and is_alone(in_part) and bound or '')
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
local last, taken = string.match(known[3] or '0', '^(%d+) ?(%d*)$')
return struct.pack('<BI4c0I8I8I4c0', 0, #known[1], known[1], tonumber(known[2]), tonumber(last), #taken, taken) .. everything(in_part)
