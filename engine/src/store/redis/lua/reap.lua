-- reap: takes back one slice of what dead workers held.
--
-- ARGV     queue crashes_max token…    whose leases ran out or were lost
-- returns  { tokens done with, back to ready, dead as poison }    ask again with the tokens after those
-- O(500).
local queue, poison = ARGV[2], tonumber(ARGV[3])
local q = of(queue)
local JOBS_MAX = 500
local ready, dead, cancelled, done = {}, {}, {}, 0

local function take_back(id, worker)
  local attempts, crashes, due = tries_of(id)
  attempts, crashes = attempts + 1, crashes + 1
  add_fault(id, fault_of(attempts, 'crashed', 'worker ' .. worker .. ' died or lost its lease'))
  if call('SREM', q .. 'cancelling', id) == 1 then
    add_fault(id, fault_of(attempts, 'cancelled', 'cancelled on request while it ran'))
    set_tries(id, attempts, crashes, due, worker)
    bury(q, id, 'cancelled')
    cancelled[#cancelled + 1] = id
  elseif crashes >= poison then
    set_tries(id, attempts, crashes, due, worker)
    bury(q, id, 'dead')
    dead[#dead + 1] = id
  else
    set_tries(id, attempts, crashes, due, '')
    -- At the head of its class: it has waited longest.
    call('RPUSH', q .. 'r' .. priority_of(id), id)
    ready[#ready + 1] = id
  end
end

for k = 4, #ARGV do
  local token = ARGV[k]
  local ends = call('ZSCORE', P .. 'lease', token)
  if not ends or tonumber(ends) < wall then
    local places, place, worker = places_of(q, token) or {}, 0, worker_of(token) or 'unnamed'
    for id in (call('HGET', q .. 'run', token) or ''):gmatch('%S+') do
      if #ready + #dead + #cancelled == JOBS_MAX then break end
      place = place + 1
      if places[place] == RUNS then
        places[place] = ENDED
        take_back(id, worker)
      end
    end
    if keep_places(q, token, places) then break end
  end
  done = done + 1
end
bump(q, 'running', -(#ready + #dead + #cancelled))
bump(q, 'ready', #ready)
bump(q, 'dead', #dead)
bump(q, 'cancelled', #cancelled)
tell(queue, 'ready', #ready, ready)
tell(queue, 'dead', #dead, dead)
tell(queue, 'cancelled', #cancelled, cancelled)
if #ready > 0 or holds_by_number(q) then wake(q) end
return { done, #ready, #dead }
