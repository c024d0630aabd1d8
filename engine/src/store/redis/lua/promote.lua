-- What is due becomes ready: a slice of at most 500 of each kind.
local function promote_from(queue, q, set, state)
  local due = call('ZCOUNT', q .. set, '-inf', now_text)
  if due == 0 then return 0 end
  local popped, by, c = call('ZPOPMIN', q .. set, math.min(due, 500)), {}, 0
  for k = 1, #popped, 2 do
    local class = popped[k]:sub(1, 1)
    local ids = by[class]
    if not ids then ids = {} by[class] = ids end
    ids[#ids + 1] = popped[k]:sub(2)
    c = c + 1
  end
  for class, ids in pairs(by) do call('LPUSH', q .. 'r' .. class, unpack(ids)) end
  bump(q, state, -c)
  bump(q, 'ready', c)
  tell(queue, 'ready', c)
  return c
end

local function promote(queue, q)
  return promote_from(queue, q, 'sched', 'scheduled') + promote_from(queue, q, 'retry', 'retrying')
end

-- When the next job is due, or false.
local function next_due(q)
  local one = call('ZRANGE', q .. 'sched', 0, 0, 'WITHSCORES')[2]
  local other = call('ZRANGE', q .. 'retry', 0, 0, 'WITHSCORES')[2]
  if one and other then return tonumber(one) < tonumber(other) and one or other end
  return one or other or false
end
