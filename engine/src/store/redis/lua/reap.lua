-- reap: one slice of taking back what dead workers held. A pass begins with cursor "0" and ends when it is "0" again.
--
-- ARGV     queue cursor crashes_max token…    the tokens that had run out before the pass began
-- returns  { next cursor, back to ready, dead as poison }
--
-- A running job whose token has no live lease is taken back, so a lost reserve reply or a lost lease heals too. The
-- tokens are forgotten at the end of the pass, which has then seen every job of theirs. O(500).
local queue, cursor, poison = ARGV[2], ARGV[3], tonumber(ARGV[4])
local q = of(queue)
local page = call('HSCAN', q .. 'run', cursor, 'COUNT', 300)
local live, ready, dead, cancelled = {}, {}, {}, {}
for k = 1, #page[2], 2 do
  local id, token = page[2][k], page[2][k + 1]
  if id ~= '' then
    if live[token] == nil then
      local ends = call('ZSCORE', P .. 'lease', token)
      live[token] = ends and tonumber(ends) >= wall or false
    end
    if not live[token] and call('HDEL', q .. 'run', id) == 1 then
      local attempts, crashes, due = tries_of(id)
      local worker = worker_of(token) or 'unnamed'
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
  end
end
bump(q, 'running', -(#ready + #dead + #cancelled))
bump(q, 'ready', #ready)
bump(q, 'dead', #dead)
bump(q, 'cancelled', #cancelled)
tell(queue, 'ready', #ready, ready)
tell(queue, 'dead', #dead, dead)
tell(queue, 'cancelled', #cancelled, cancelled)
if #ready > 0 or holds_by_number(q) then wake(q) end
if page[1] == '0' then
  for k = 5, #ARGV do
    local ends = call('ZSCORE', P .. 'lease', ARGV[k])
    if ends and tonumber(ends) < wall then forget_token(ARGV[k]) end
  end
end
return { page[1], #ready, #dead }
