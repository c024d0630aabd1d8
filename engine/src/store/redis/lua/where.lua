-- Where a job stands.

-- The state, and what was found on the way: the score in the zset that holds it, or the token that runs it.
local function where(id, record)
  local first = record:sub(1, 1)
  if first == 'c' then return 'completed' end
  local q, prio = of(record:match('^..\t([^\t]*)\t')), record:sub(2, 2)
  if first == 'd' then return 'dead', call('ZSCORE', q .. 'dead', id) end
  if first == 'x' then return 'cancelled', call('ZSCORE', q .. 'cancelled', id) end
  local token = call('HGET', q .. 'run', id)
  if token then return 'running', token end
  for set, state in pairs({ sched = 'scheduled', retry = 'retrying' }) do
    local due = call('ZSCORE', q .. set, prio .. id)
    -- What is due is ready, whether or not somebody has come by to move it.
    if due then return tonumber(due) > now and state or 'ready', due end
  end
  return 'ready'
end
