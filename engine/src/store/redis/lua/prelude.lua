-- What every script begins with: the two times, the books, the events, the waking.
local call, P = redis.call, KEYS[1]
local clock = call('TIME')
local wall = clock[1] * 1000000 + clock[2]
local now = ARGV[1] == '0' and wall or tonumber(ARGV[1])
-- redis.call prints a number with %.17g, once for each argument: what is used often becomes text once.
local function int(n) return string.format('%d', n) end
local now_text = int(now)

local function of(queue) return P .. 'q:' .. queue .. ':' end

local function bump(q, field, n)
  if n ~= 0 then return call('HINCRBY', q .. 'n', field, n) end
end

-- Ids are named when they are few: whoever watches one job reads it again.
local IDS_TOLD = 16
local function tell(queue, state, count, ids)
  if count == 0 then return end
  if ids and count <= IDS_TOLD then
    call('XADD', P .. 'ev', 'MAXLEN', '~', '1000', '*', 'q', queue, 's', state, 'c', count, 'a', now_text,
      'i', table.concat(ids, ' '))
  else
    call('XADD', P .. 'ev', 'MAXLEN', '~', '1000', '*', 'q', queue, 's', state, 'c', count, 'a', now_text)
  end
end

-- Who holds the jobs of a token.
local function worker_of(token)
  return (call('HGET', P .. 'who', token) or ''):match('^%S+ (.*)$')
end

-- One token wakes one of those who wait; who finds more than it can take passes it on.
local function wake(q)
  if call('LLEN', q .. 'wake') == 0 then call('RPUSH', q .. 'wake', '1') end
end
