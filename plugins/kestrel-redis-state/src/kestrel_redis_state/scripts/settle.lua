-- Bars a commit whose answer was lost, if it was not made: should it still arrive, it is late.
-- ARGV: generation, known version, writer, number of the commit.

local refused = checked(ARGV[1], ARGV[2])
if refused then return refused end
local last = redis.call('HGET', writers, ARGV[3])
local made = last and tonumber(string.match(last, '^(%d+) ') or '')
if last and not made then return {'damaged', writers} end
if not made or made < tonumber(ARGV[4]) then
  redis.call('HSET', writers, ARGV[3], ARGV[4] .. '  ' .. whole(now()))
end
return {'done', ''}
