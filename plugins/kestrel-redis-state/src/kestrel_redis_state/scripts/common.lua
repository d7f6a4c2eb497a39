-- What all scripts share. Each answers with a list whose first element says how it went;
-- nothing is written before all checks were made.

local control, values, keys, changes, writers = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]

local function whole(number)
  return string.format('%.0f', number)
end

local function now()
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000000 + tonumber(time[2])
end

local function wrong_type()
  for place, wanted in ipairs({'hash', 'hash', 'zset', 'stream', 'hash'}) do
    local found = redis.call('TYPE', KEYS[place]).ok
    if found ~= 'none' and found ~= wanted then
      return {'wrong type', KEYS[place], found}
    end
  end
end

-- Returns (refusal, nil) where the store is not the one that the caller knows, or has gone
-- back in time, or was damaged; else (nil, its state).
local function checked(generation, known)
  local wrong = wrong_type()
  if wrong then return wrong end
  local found = redis.call('HMGET', control, 'generation', 'version', 'entries', 'commits',
    'fence')
  if found[1] ~= generation then return {'lost', found[1] or ''} end
  local state = {
    version = tonumber(found[2] or ''),
    entries = tonumber(found[3] or ''),
    commits = tonumber(found[4] or ''),
    fence = tonumber(found[5] or '-1'),
  }
  if not (state.version and state.entries and state.commits and state.fence) then
    return {'damaged', control}
  end
  if state.version < tonumber(known) then return {'rewound', whole(state.version)} end
  if redis.call('HLEN', values) ~= state.entries then return {'damaged', values} end
  if redis.call('ZCARD', keys) ~= state.entries then return {'damaged', keys} end
  return nil, state
end
