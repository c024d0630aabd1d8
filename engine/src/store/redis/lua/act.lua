-- act: what an operator does to single jobs.
--
-- ARGV     action id…    cancel, retry, promote or delete; at most 500 ids
-- returns  for each: "done", "asked", "missing", or the state to which the action does not apply
-- O(log n) a job; deleting a completed one walks the list of completed jobs.
local action = ARGV[2]

-- Takes a waiting job out of where it stands. A ready one leaves its entry behind, counted: to look for it in a long
-- list would stall everybody.
local function take_out(q, id, prio)
  for set, state in pairs({ sched = 'scheduled', retry = 'retrying' }) do
    if call('ZREM', q .. set, prio .. id) == 1 then
      bump(q, state, -1)
      return
    end
  end
  call('HINCRBY', q .. 'gone', id, 1)
  bump(q, 'ready', -1)
end

local function to_ready(queue, q, id, prio, attempts, crashes)
  set_tries(id, attempts, crashes, now_text, '')
  call('LPUSH', q .. 'r' .. prio, id)
  bump(q, 'ready', 1)
  tell(queue, 'ready', 1, { id })
  wake(q)
end

local function cancel(queue, q, id, prio, state)
  if state == 'running' then
    call('SADD', q .. 'cancelling', id)
    return 'asked'
  end
  local attempts, crashes, due = tries_of(id)
  take_out(q, id, prio)
  add_fault(id, fault_of(attempts, 'cancelled', 'cancelled on request before it ran'))
  set_tries(id, attempts, crashes, due, '')
  bury(q, id, 'cancelled')
  bump(q, 'cancelled', 1)
  tell(queue, 'cancelled', 1, { id })
  return 'done'
end

-- Its attempts count from none, its faults stay. Its deadline goes: who retries a job by hand wants it done although
-- it is late. Refused while another job holds its unique key.
local function retry(queue, q, id, prio, state, record)
  local line = record:find('\n', 1, true)
  local unique, created, due, payload =
    record:sub(1, line - 1):match('^..\t[^\t]*\t([^\t]*)\t([^\t]*)\t([^\t]*)\t[^\t]*\t(.*)$')
  if unique:sub(1, 1) == 'k' then
    local owner = holder(unique:sub(2))
    if owner and owner ~= id then return state end
    hold(unique:sub(2), id, '', '0')
  end
  call('ZREM', q .. state, id)
  call('HSET', P .. 'jobs', id,
    'w' .. prio .. '\t' .. queue .. '\t' .. unique .. '\t' .. created .. '\t' .. due .. '\t\t' .. payload .. record:sub(line))
  bump(q, state, -1)
  to_ready(queue, q, id, prio, 0, 0)
  return 'done'
end

local function promote_one(queue, q, id, prio)
  local attempts, crashes = tries_of(id)
  take_out(q, id, prio)
  to_ready(queue, q, id, prio, attempts, crashes)
  return 'done'
end

local function delete(q, id, state)
  if state == 'completed' then
    call('LREM', q .. 'done', 1, id)
    forget_large(q, { id })
  else call('ZREM', q .. state, id) end
  forget({ id })
  bump(q, state, -1)
  bump(q, 'pruned', 1)
  return 'done'
end

local applies = {
  cancel = { scheduled = true, ready = true, retrying = true, running = true },
  retry = { dead = true, cancelled = true },
  promote = { scheduled = true, retrying = true },
  delete = { completed = true, dead = true, cancelled = true },
}
local out = {}
for k = 3, #ARGV do
  local id = ARGV[k]
  local record = call('HGET', P .. 'jobs', id)
  if not record then out[#out + 1] = 'missing'
  else
    local state = where(id, record, #ARGV - 2)
    local queue, prio = record:match('^..\t([^\t]*)\t'), record:sub(2, 2)
    local q = of(queue)
    if not applies[action][state] then out[#out + 1] = state
    elseif action == 'cancel' then out[#out + 1] = cancel(queue, q, id, prio, state)
    elseif action == 'retry' then out[#out + 1] = retry(queue, q, id, prio, state, record)
    elseif action == 'promote' then out[#out + 1] = promote_one(queue, q, id, prio)
    else out[#out + 1] = delete(q, id, state) end
  end
end
return out
