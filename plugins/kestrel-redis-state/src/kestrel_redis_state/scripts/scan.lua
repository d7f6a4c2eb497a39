-- Returns keys in order, and their entries, until they are many or large enough.
-- ARGV: generation, known version, bytes that are enough, lowest and highest key, most keys.

local refused, state = checked(ARGV[1], ARGV[2])
if refused then return refused end
local answer, bytes = {'done', whole(state.version), '0'}, 0
local found = redis.call('ZRANGE', keys, ARGV[4], ARGV[5], 'BYLEX', 'LIMIT', 0, ARGV[6])
if #found == tonumber(ARGV[6]) then answer[3] = '1' end
for place, key in ipairs(found) do
  local entry = redis.call('HGET', values, key)
  if not entry then return {'damaged', keys} end
  table.insert(answer, key)
  table.insert(answer, entry)
  bytes = bytes + #key + #entry
  if bytes >= tonumber(ARGV[3]) and place < #found then
    answer[3] = '1'
    break
  end
end
return answer
