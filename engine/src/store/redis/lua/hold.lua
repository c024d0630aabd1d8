-- Deliveries: what a token holds. The ids of one reserve stand in `q:run` in their places; `q:live` has a byte for each.
local RUNS, ENDED = 49, 48

-- A byte for each place, or nil when the token holds nothing any more.
local function places_of(q, token)
  local live = call('HGET', q .. 'live', token)
  return live and { live:byte(1, -1) }
end

-- The place of an id that whoever asks has not noted, or 0.
local function place_of(q, token, id)
  local ids = call('HGET', q .. 'run', token) or ''
  local at = ids:find(' ' .. id .. ' ', 1, true)
  if not at then return 0 end
  local _, place = ids:sub(1, at):gsub(' ', '')
  return place
end

local function forget_token(q, token)
  call('HDEL', q .. 'run', token)
  call('HDEL', q .. 'live', token)
  call('HDEL', P .. 'who', token)
  call('ZREM', P .. 'lease', token)
end

-- Writes back what became of a token's places, or forgets it when nothing of it runs.
local function keep_places(q, token, places)
  for k = 1, #places do
    if places[k] == RUNS then
      call('HSET', q .. 'live', token, string.char(unpack(places)))
      return true
    end
  end
  forget_token(q, token)
  return false
end
