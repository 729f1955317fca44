-- All that instances ask of the store about one variable of weak state. docs/state.md describes the keys.
--
--   meet   id, name, kind, lasting, first, batch           an instance begins, or begins anew
--   merge  id, how, birth, since, changes, batch           what it has changed; batches are numbered from 1
--   part   id                                              it has ended
--
-- A variable has entries: those of a Map, or the only one of anything else, at the empty key. `how` is "COMBINER NUMBER
-- CAPACITY": the kind of numbers is i, u or f, and 0 stands for no capacity. Changes are a sequence of
--
--   u8 op | text key | text value | text more
--
-- little-endian, a text being a u32 size and bytes. By the combiner:
--
--   LWW       1 sets, 2 deletes an entry; `more` is the clock: u64 wall clock, u32 count, and who wrote
--   sum       1 adds the value; `more` is not empty where the entry is the instance's own. 2 deletes it, or else adds
--   max, min  1 sets it, 2 deletes it
--   union     1 sets it, 2 deletes it; of a Vec, 3 takes out the items in `value` and adds those in `more`, as texts
--
-- The answer begins with a byte:
--
--   0  meet: text birth | u64 version | u64 number of its last batch that is in the store | then as merge
--      merge: u64 version | u32 entries or items that went to make room | text latest clock | the entries that were
--      changed since the given version: first those that are gone, then the others as they were set. Each is
--      u8 2, or u8 1 | text key | text value, that of what is gone being empty
--   2  merge: the state is another one, or too much is gone since: meet again
--   3  meet: refused, for the reason that follows
--
-- An answer may be lost: a batch that is sent again counts once.
if ARGV[1] == 'meet' or ARGV[1] == 'merge' or ARGV[1] == 'part' then
  local _, gone, clocks, entries, order = unpack(KEYS)
  local TOMBSTONES = 16384
  local NAN = struct.pack('<I4I4', 0, 0x7ff80000)
  local command, id = ARGV[1], ARGV[2]
  local sequence = 0

  -- Entries.

  local function next_one()
    sequence = sequence + 1
    return sequence
  end

  local function put(key, value)
    redis.call('HSET', entries, key, value)
    redis.call('ZADD', order, next_one(), key)
    redis.call('ZREM', gone, key)
  end

  local function remove(key)
    redis.call('HDEL', entries, key)
    redis.call('ZREM', order, key)
    redis.call('ZADD', gone, next_one(), key)
  end

  -- It was set, though by a write that lost: it is the newest.
  local function renew(key)
    local value = redis.call('HGET', entries, key)
    if value then put(key, value) end
  end

  -- Numbers, in 8 bytes each.

  local function add(number, left, right)
    if number == 'f' then
      local a, b = struct.unpack('<d', left), struct.unpack('<d', right)
      local sum = a + b
      return sum == sum and struct.pack('<d', sum) or NAN
    end
    local low, high = struct.unpack('<I4I4', left)
    local more_low, more_high = struct.unpack('<I4I4', right)
    low = low + more_low
    high = high + more_high + (low >= 4294967296 and 1 or 0)
    return struct.pack('<I4I4', low % 4294967296, high % 4294967296)
  end

  local function is_zero(number, value)
    local low, high = struct.unpack('<I4I4', value)
    return low == 0 and (high == 0 or (number == 'f' and high == 0x80000000))
  end

  -- Two numbers that order as the value does: -0.0 is before 0.0, and NaN comes last.
  local function rank(number, value)
    local low, high = struct.unpack('<I4I4', value)
    if number == 'u' then return high, low end
    if number == 'f' and high >= 0x80000000 then return 0xffffffff - high, 0xffffffff - low end
    return (high + 0x80000000) % 4294967296, low
  end

  local function is_above(number, left, right)
    local left_high, left_low = rank(number, left)
    local right_high, right_low = rank(number, right)
    if left_high ~= right_high then return left_high > right_high end
    return left_low > right_low
  end

  local function is_later(left, right)
    if not right then return true end
    local left_low, left_high, left_count, left_at = struct.unpack('<I4I4I4', left)
    local right_low, right_high, right_count, right_at = struct.unpack('<I4I4I4', right)
    if left_high ~= right_high then return left_high > right_high end
    if left_low ~= right_low then return left_low > right_low end
    if left_count ~= right_count then return left_count > right_count end
    return string.sub(left, left_at) > string.sub(right, right_at)
  end

  -- Items of a Vec, as texts.

  local function items_of(texts)
    local found, at = {}, 1
    while at <= #texts do
      found[#found + 1], at = struct.unpack('<I4c0', texts, at)
    end
    return found
  end

  local function texts_of(items, first)
    local parts = {}
    for i = first, #items do parts[#parts + 1] = struct.pack('<I4c0', #items[i], items[i]) end
    return table.concat(parts)
  end

  local function united(here, out, new)
    local left, kept = {}, {}
    for _, it in ipairs(items_of(out)) do left[it] = (left[it] or 0) + 1 end
    for _, it in ipairs(items_of(here)) do
      if (left[it] or 0) > 0 then
        left[it] = left[it] - 1
      else
        kept[#kept + 1] = it
      end
    end
    for _, it in ipairs(items_of(new)) do kept[#kept + 1] = it end
    return texts_of(kept, 1)
  end

  -- Combiners: what becomes of a change.

  local function delete_unless_changed(key, since, number, by)
    local version = tonumber(redis.call('ZSCORE', order, key) or '0')
    if version == 0 then return end
    if version <= since then
      remove(key)
    elseif number then
      put(key, add(number, redis.call('HGET', entries, key), by))
    end
  end

  local combine = {}

  function combine.LWW(op, key, value, clock)
    if not is_later(clock, redis.call('HGET', clocks, key)) then return renew(key) end
    redis.call('HSET', clocks, key, clock)
    if is_later(clock, redis.call('HGET', meta, 'clock')) then redis.call('HSET', meta, 'clock', clock) end
    if op == 1 then put(key, value) else remove(key) end
  end

  function combine.sum(op, key, value, own, since, number)
    if op == 2 then return delete_unless_changed(key, since, number, value) end
    local here = redis.call('HGET', entries, key)
    if here then
      put(key, add(number, here, value))
    elseif own ~= '' or not is_zero(number, value) then
      put(key, value)
    end
  end

  local function better(above)
    return function(op, key, value, _, since, number)
      if op == 2 then return delete_unless_changed(key, since) end
      local here = redis.call('HGET', entries, key)
      put(key, here and is_above(number, value, here) ~= above and here or value)
    end
  end

  combine.max, combine.min = better(true), better(false)

  function combine.union(op, key, value, more, since)
    if op == 2 then return delete_unless_changed(key, since) end
    if op == 1 then return put(key, value) end
    put(key, united(redis.call('HGET', entries, key) or '', value, more))
  end

  -- Makes room; gives how much had to go.
  local function drop_oldest(capacity)
    local oldest = redis.call('ZRANGE', order, 0, redis.call('ZCARD', order) - capacity - 1)
    for _, key in ipairs(oldest) do remove(key) end
    return #oldest
  end

  local function drop_items(capacity)
    local items = items_of(redis.call('HGET', entries, '') or '')
    if #items <= capacity then return 0 end
    put('', texts_of(items, #items - capacity + 1))
    return #items - capacity
  end

  -- Gives how much had to go for what came, and what is wrong with an entry that does not hold what it should: its change is
  -- lost, the others are made.
  local function combine_all(combiner, number, capacity, since, changes)
    local at, items, flaw = 1, false, nil
    while at <= #changes do
      local op, key, value, more
      op, key, value, more, at = struct.unpack('<BI4c0I4c0I4c0', changes, at)
      items = items or op == 3
      local made, why = pcall(combine[combiner], op, key, value, more, since, number)
      if not made then flaw = why end
    end
    if capacity == 0 or flaw then return 0, flaw end
    if items then return drop_items(capacity) end
    return redis.call('ZCARD', order) > capacity and drop_oldest(capacity) or 0
  end

  -- Answers.

  -- Bounds what deletes take. An instance that is further behind than what is forgotten has to meet again.
  local function forget_deletes()
    local many = redis.call('ZCARD', gone) - TOMBSTONES
    if many <= 0 then return end
    local oldest = redis.call('ZRANGE', gone, 0, many - 1, 'WITHSCORES')
    for i = 1, #oldest, 2 do redis.call('HDEL', clocks, oldest[i]) end
    redis.call('HSET', meta, 'forgot', oldest[#oldest])
    redis.call('ZREMRANGEBYRANK', gone, 0, many - 1)
  end

  local function changes_since(since)
    local all = {}
    for _, key in ipairs(redis.call('ZRANGEBYSCORE', gone, '(' .. since, '+inf')) do
      all[#all + 1] = struct.pack('<BI4c0I4', 2, #key, key, 0)
    end
    local keys = redis.call('ZRANGEBYSCORE', order, '(' .. since, '+inf')
    for first = 1, #keys, AT_ONCE do
      local last = math.min(first + AT_ONCE - 1, #keys)
      local values = redis.call('HMGET', entries, unpack(keys, first, last))
      for i = first, last do
        local key, value = keys[i], values[i - first + 1]
        if value then all[#all + 1] = struct.pack('<BI4c0I4c0', 1, #key, key, #value, value) end
      end
    end
    return table.concat(all)
  end

  local function answer(since, evicted)
    local clock = redis.call('HGET', meta, 'clock') or ''
    return struct.pack('<I4I4c0', evicted, #clock, clock) .. changes_since(since)
  end

  -- The last instance has ended.
  local function finish()
    if lasts() then
      redis.call('HDEL', meta, 'birth')
    else
      redis.call('DEL', unpack(KEYS))
    end
  end

  -- A key that is new since instances were last heard of would outlive them.
  local function outlives()
    if lasts() then return false end
    for _, key in ipairs(KEYS) do
      if redis.call('PTTL', key) == -1 then return true end
    end
    return false
  end

  -- Commands.

  local function merge()
    local how, birth, since, changes, batch = ARGV[3], ARGV[4], tonumber(ARGV[5]), ARGV[6], tonumber(ARGV[7])
    local known = redis.call('HMGET', meta, 'birth', 'sequence', 'forgot', 'last:' .. id, 'shut:' .. id)
    if known[1] ~= birth or since > tonumber(known[2]) or since < tonumber(known[3] or '0') then
      return struct.pack('<B', 2)
    end
    local now = now_ms()
    local due = is_due(now, id)
    if due and other_history() then return struct.pack('<B', 2) end
    sequence = tonumber(known[2])
    local before, evicted, flaw = sequence, 0, nil
    local last = math.max(tonumber(known[4] or '0'), tonumber(known[5] or '0'))
    if changes ~= '' and last < batch then
      local combiner, number, capacity = string.match(how, '(%a+) (%a) (%d+)')
      evicted, flaw = combine_all(combiner, number, tonumber(capacity), since, changes)
      if not flaw or sequence ~= before then redis.call('HSET', meta, 'last:' .. id, batch) end
    end
    if sequence ~= before then
      redis.call('HSET', meta, 'sequence', sequence)
      forget_deletes()
    end
    if flaw then error(flaw) end
    if due or (changes ~= '' and outlives()) then stay(now, id) end
    return struct.pack('<BI8', 0, sequence) .. answer(since, evicted)
  end

  local function meet()
    local name, kind, lasting, first, batch = ARGV[3], ARGV[4], ARGV[5], ARGV[6], ARGV[7]
    local now = now_ms()
    local policy = evicts(lasting == '1')
    if policy then return may_evict(policy) end
    local format = redis.call('HGET', meta, 'format')
    if format and format ~= FORMAT then return other_format(format) end
    if too_much() then return refuse_much() end
    if is_over(now, id) then finish() end
    local there = redis.call('HGET', meta, 'kind')
    if there and there ~= kind then return other_kind(name, there, kind) end
    sequence = tonumber(redis.call('HGET', meta, 'sequence') or '0')
    if not there then
      local at = 1
      while at <= #first do
        local key, value
        key, value, at = struct.unpack('<xI4c0I4c0', first, at)
        put(key, value)
      end
    end
    follow_history()
    redis.call('HSET', meta, 'format', FORMAT, 'kind', kind, 'lasting', lasting, 'sequence', sequence)
    redis.call('HSETNX', meta, 'birth', now .. '.' .. id)
    stay(now, id)
    local known = redis.call('HMGET', meta, 'birth', 'last:' .. id)
    redis.call('HSET', meta, 'shut:' .. id, batch)
    local last = tonumber(known[2] or '0')
    return struct.pack('<BI4c0I8I8', 0, #known[1], known[1], sequence, last) .. answer(-1, 0)
  end

  local function part()
    part_from(id)
    if is_over(now_ms()) then finish() end
    return struct.pack('<B', 0)
  end

  return ({meet = meet, merge = merge, part = part})[command]()
end

