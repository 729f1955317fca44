#!lua
-- The line above has a store refuse the script as a whole where it may not write: as a replica, or without memory.
--
-- The script is this file, commit.lua, instances.lua, merge.lua and join.lua, one behind the other. Whatever it is asked, all
-- functions on the way there are made first, and a few of them take as long as a command of the store. So commits come first.
local FORMAT, ALIVE_MS, ENDS_MS, HEARD_MS, KNOWN_MS = '1', 30000, 120000, 5000, 3600000
local AT_ONCE = 1000 -- that many things one command may be about: Lua has no room for more than 8000
local meta, instances = KEYS[1], KEYS[6]

-- The name of the history of the store's data, where it is another one than when the state was last joined; a store may not tell.
-- Another one begins where the store is restarted or a replica takes over: the end of what there was may be lost, and then
-- others may have come as far in it as instances were that have not noticed.
local function other_history()
  local told = redis.pcall('INFO', 'replication')
  local name = type(told) == 'string' and string.match(told, 'master_replid:(%x+)')
  return name and name ~= redis.call('HGET', meta, 'history') and name
end
