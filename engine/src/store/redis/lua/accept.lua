-- Taking jobs in: once by id, once by unique key, within the backlog's bound.

-- The live holder of a unique key, if there is one.
local function holder(key)
  local held = call('GET', P .. 'u:' .. key)
  if not held then return nil end
  local id, till = held:match('^(%S+) (%d+)$')
  if not till then return held end
  return tonumber(till) > now and id or nil
end

-- `window`: '' for a key that is held while the job lives, else the end of its window (us, shop's time); `px`: the
-- same as milliseconds from now, for Redis to forget it, or '0' where the shop's time is not Redis'.
local function hold(key, id, window, px)
  if window == '' then call('SET', P .. 'u:' .. key, id)
  elseif px == '0' then call('SET', P .. 'u:' .. key, id .. ' ' .. window)
  else call('SET', P .. 'u:' .. key, id .. ' ' .. window, 'PX', px) end
end

-- Jobs that the backlog still bears.
local function room_of(q)
  local most = call('HGET', q .. 'gate', 'backlog')
  if not most then return math.huge end
  local n = call('HMGET', q .. 'n', 'ready', 'scheduled', 'retrying')
  return most - (n[1] or 0) - (n[2] or 0) - (n[3] or 0)
end

local function accepted(queue, q, ready, scheduled, ids)
  local n = ready + scheduled
  if n == 0 then return end
  if bump(q, 'accepted', n) == n then call('SADD', P .. 'queues', queue) end
  bump(q, 'ready', ready)
  bump(q, 'scheduled', scheduled)
  tell(queue, 'ready', ready, scheduled == 0 and ids or nil)
  tell(queue, 'scheduled', scheduled, ready == 0 and ids or nil)
  wake(q)
end

-- One job with all it may have: answers nil when it was stored, 0 when its id is known, 'full', or who holds its key.
-- `due`: '0' for now.
local function accept(queue, prio, id, record, due, key, window, px, bounded)
  local q = of(queue)
  if call('HEXISTS', P .. 'jobs', id) == 1 then return 0 end
  if key ~= '' then
    local owner = holder(key)
    if owner then return owner end
  end
  if bounded and room_of(q) <= 0 then return 'full' end
  if key ~= '' then hold(key, id, window, px) end
  call('HSET', P .. 'jobs', id, record)
  if due == '0' then
    call('LPUSH', q .. 'r' .. prio, id)
    accepted(queue, q, 1, 0, { id })
  else
    call('ZADD', q .. 'sched', due, prio .. id)
    accepted(queue, q, 0, 1, { id })
  end
end
