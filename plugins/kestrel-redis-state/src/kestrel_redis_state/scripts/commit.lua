-- Applies all changes or none.
-- ARGV: generation, known version, writer, number of the commit among the writer's, '1' where it was
-- perhaps sent before, fence or '', number of expectations, kinds of the changes (a letter each, w or
-- d), most keys and bytes that are told one by one, most commits that are kept for watches; then each
-- expected key and version or '', then each changed key and value.

local refused, state = checked(ARGV[1], ARGV[2])
if refused then return refused end

local writer, number, fence = ARGV[3], tonumber(ARGV[4]), ARGV[6]
local expectations, kinds = tonumber(ARGV[7]), ARGV[8]
local last = redis.call('HGET', writers, writer)
if last then
  local made, version = string.match(last, '^(%d+) (%d*) ')
  if not made then return {'damaged', writers} end
  if tonumber(made) == number and version ~= '' then return {'done', version} end
  if tonumber(made) >= number then return {'late'} end
elseif ARGV[5] == '1' then
  return {'forgotten'}
end

if fence ~= '' and tonumber(fence) < state.fence then
  return {'fenced', whole(state.fence)}
end

local first = 12
local answer = {'conflict'}
for place = first, first + 2 * expectations - 1, 2 do
  local entry = redis.call('HGET', values, ARGV[place])
  local version = ''
  if entry then version = string.match(entry, '^(%d+):') or 'damaged' end
  if version ~= ARGV[place + 1] then table.insert(answer, ARGV[place]) end
end
if #answer > 1 then return answer end

first = first + 2 * expectations
local time = now()
local version = whole(math.max(state.version + 1, time))
local entries, commits = state.entries, state.commits

if #kinds > 0 then
  -- The stream is first: it alone can still refuse.
  commits = commits + 1
  local told, bytes = {}, 0
  for place = 1, #kinds do
    local key = ARGV[first + 2 * (place - 1)]
    bytes = bytes + #key
    if place > tonumber(ARGV[9]) or bytes > tonumber(ARGV[10]) then
      told = {'many', ''}
      break
    end
    table.insert(told, 'key')
    table.insert(told, key)
  end
  local added = redis.pcall('XADD', changes, 'MAXLEN', '~', ARGV[11], whole(commits) .. '-0',
    unpack(told))
  if type(added) == 'table' and added.err then return {'damaged', changes} end
end

for place = 1, #kinds do
  local key, value = ARGV[first + 2 * (place - 1)], ARGV[first + 2 * place - 1]
  if string.byte(kinds, place) == 119 then
    if redis.call('HSET', values, key, version .. ':' .. value) == 1 then
      redis.call('ZADD', keys, 0, key)
      entries = entries + 1
    end
  elseif redis.call('HDEL', values, key) == 1 then
    redis.call('ZREM', keys, key)
    entries = entries - 1
  end
end

redis.call('HSET', control, 'version', version, 'entries', whole(entries),
  'commits', whole(commits))
if fence ~= '' then redis.call('HSET', control, 'fence', fence) end
redis.call('HSET', writers, writer, ARGV[4] .. ' ' .. version .. ' ' .. whole(time))
return {'done', version}
