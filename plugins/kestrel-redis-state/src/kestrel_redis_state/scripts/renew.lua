-- Prolongs a lease that nobody else has taken, also one that has run out.
-- ARGV: generation, known version, owner, fence, microseconds (0: give it up).

local refused, state = checked(ARGV[1], ARGV[2])
if refused then return refused end
local found = redis.call('HMGET', control, 'owner', 'owner fence')
if whole(state.fence) ~= ARGV[4] or found[1] ~= ARGV[3] or found[2] ~= ARGV[4] then
  return {'fenced', found[1] or ''}
end
if ARGV[5] == '0' then
  redis.call('HDEL', control, 'owner', 'owner fence', 'owned until',
    'owned for')
else
  redis.call('HSET', control, 'owned until', whole(now() + tonumber(ARGV[5])))
end
return {'done', ARGV[4]}
