-- Finds the store, or makes an empty one.
-- ARGV: format, generation of a new store, microseconds after which idle writers are forgotten.

local wrong = wrong_type()
if wrong then return wrong end
local time = now()
local found = redis.call('HMGET', control, 'format', 'generation', 'version')
if redis.call('EXISTS', control) == 0 then
  if redis.call('EXISTS', values, keys) > 0 then return {'damaged', control} end
  redis.call('DEL', changes, writers)
  redis.call('HSET', control, 'format', ARGV[1], 'generation', ARGV[2],
    'version', whole(time), 'entries', '0', 'commits', '0')
  return {'done', ARGV[2], whole(time)}
end
if found[1] ~= ARGV[1] then return {'format', found[1] or ''} end
if not (found[2] and tonumber(found[3] or '')) then return {'damaged', control} end

local listed = redis.call('HGETALL', writers)
for place = 1, #listed, 2 do
  local seen = tonumber(string.match(listed[place + 1], ' (%d+)$') or '0')
  if seen + tonumber(ARGV[3]) < time then redis.call('HDEL', writers, listed[place]) end
end
return {'done', found[2], found[3]}
