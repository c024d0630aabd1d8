-- Where a job stands.

-- Beyond so many ids in one call, what runs in a queue is read once for all of them.
local SINGLY_MAX = 8
local running_in = {}

-- The token under which a job runs, if it does. A token's ids are looked through: they are few beside what waits.
local function runs_under(q, id, asked)
  if asked <= SINGLY_MAX then
    local run, word = call('HGETALL', q .. 'run'), ' ' .. id .. ' '
    for k = 1, #run, 2 do
      if run[k + 1]:find(word, 1, true) and (places_of(q, run[k]) or {})[place_of(q, run[k], id)] == RUNS then
        return run[k]
      end
    end
    return nil
  end
  local by = running_in[q]
  if not by then
    by = {}
    running_in[q] = by
    local run = call('HGETALL', q .. 'run')
    for k = 1, #run, 2 do
      local places, place = places_of(q, run[k]) or {}, 0
      for one in run[k + 1]:gmatch('%S+') do
        place = place + 1
        if places[place] == RUNS then by[one] = run[k] end
      end
    end
  end
  return by[id]
end

-- The state, and what was found on the way: the score in the zset that holds it, or the token that runs it. `asked`:
-- how many jobs this call asks for.
local function where(id, record, asked)
  local first = record:sub(1, 1)
  if first == 'c' then return 'completed' end
  local q, prio = of(record:match('^..\t([^\t]*)\t')), record:sub(2, 2)
  if first == 'd' then return 'dead', call('ZSCORE', q .. 'dead', id) end
  if first == 'x' then return 'cancelled', call('ZSCORE', q .. 'cancelled', id) end
  for set, state in pairs({ sched = 'scheduled', retry = 'retrying' }) do
    local due = call('ZSCORE', q .. set, prio .. id)
    -- What is due is ready, whether or not somebody has come by to move it.
    if due then return tonumber(due) > now and state or 'ready', due end
  end
  local token = runs_under(q, id, asked)
  if token then return 'running', token end
  return 'ready'
end
