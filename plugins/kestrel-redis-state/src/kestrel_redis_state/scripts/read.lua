-- Returns entries until they are large enough, one for each of the first keys.
-- ARGV: generation, known version, bytes that are enough, keys.

local refused, state = checked(ARGV[1], ARGV[2])
if refused then return refused end
local answer, bytes = {'done', whole(state.version), whole(state.commits)}, 0
for place = 4, #ARGV do
  local entry = redis.call('HGET', values, ARGV[place])
  answer[place] = entry
  if entry then bytes = bytes + #entry end
  if bytes >= tonumber(ARGV[3]) then break end
end
return answer
