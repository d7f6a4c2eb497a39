-- Makes a caller the owner, if nobody else is; from then on, older owners can commit nothing.
-- ARGV: generation, known version, owner, microseconds.

local refused, state = checked(ARGV[1], ARGV[2])
if refused then return refused end
local found = redis.call('HMGET', control, 'owner', 'owned until', 'owned for')
local time = now()
local rest = (tonumber(found[2] or '') or 0) - time
if found[1] and found[1] ~= ARGV[3] and rest > 0 then
  local longest = tonumber(found[3] or '') or rest
  if rest > longest then
    -- The clock was set back; nobody waits longer for that.
    rest = longest
    redis.call('HSET', control, 'owned until', whole(time + rest))
  end
  return {'owned', found[1], whole(rest)}
end
local fence = whole(math.max(state.fence, 0) + 1)
redis.call('HSET', control, 'fence', fence, 'owner', ARGV[3], 'owner fence', fence,
  'owned until', whole(time + tonumber(ARGV[4])), 'owned for', ARGV[4])
return {'done', fence}
