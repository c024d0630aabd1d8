-- The gate of a queue, as `gate.rs` describes it: asked before jobs are handed out, told how they ended.
--
-- Fields of q:gate. Rules: cap, period (us between jobs), burst, failures, cool, cool_max (us), backlog, and `rules`
-- (JSON of them all, for people). What they counted: tat (us, GCRA's theoretical arrival time), breaker (c closed,
-- o open, p probing), count (failures in a row; jobs at once while probing), open_until (us), trips. `paused`: JSON.
local PROBES_AT_ONCE_MAX = 32

-- How many of `want` may start while `running` run; or nil, the reason, and when to ask again (us, or nil).
-- The second answer on success is what to write back for what was really taken.
local function admit(q, running, want)
  local g = call('HMGET', q .. 'gate', 'paused', 'cap', 'period', 'burst', 'tat', 'breaker', 'count', 'open_until')
  if g[1] then return nil, 'paused' end
  local room = want
  if g[6] == 'o' then
    if wall < tonumber(g[8]) then return nil, 'breaker', g[8] end
    call('HSET', q .. 'gate', 'breaker', 'p', 'count', '1')
    g[6], g[7] = 'p', '1'
  end
  if g[6] == 'p' then
    room = math.min(room, g[7] - running)
    if room <= 0 then return nil, 'breaker' end
  end
  if g[2] then
    room = math.min(room, g[2] - running)
    if room <= 0 then return nil, 'concurrency' end
  end
  if g[3] then
    local period, burst = tonumber(g[3]), math.max(1, tonumber(g[4]))
    local start = math.max(tonumber(g[5] or 0), wall)
    room = math.min(room, math.floor((wall + period * burst - start) / period))
    if room <= 0 then return nil, 'rate', int(start + period - period * burst) end
    return room, function(taken) call('HSET', q .. 'gate', 'tat', int(start + period * taken)) end
  end
  return room
end

-- Attempts ended: `outages` because the other side is down, `answered` because it answered.
local function record(q, outages, answered)
  local g = call('HMGET', q .. 'gate', 'failures', 'breaker', 'count', 'trips', 'cool', 'cool_max')
  if not g[1] then return end
  local state, count, trips = g[2] or 'c', tonumber(g[3] or 0), tonumber(g[4] or 0)
  local function open(again)
    local cool, most = tonumber(g[5]), math.max(tonumber(g[5]), tonumber(g[6]))
    local till = wall + math.min(cool * 2 ^ math.min(again, 20), most)
    call('HSET', q .. 'gate', 'breaker', 'o', 'open_until', int(till), 'trips', again, 'count', '0')
  end
  if state == 'c' then
    if answered > 0 then
      if count > 0 then call('HSET', q .. 'gate', 'count', '0') end
    elseif count + outages >= tonumber(g[1]) then open(0)
    elseif outages > 0 then call('HSET', q .. 'gate', 'breaker', 'c', 'count', count + outages) end
  elseif state == 'p' then
    if outages > 0 then open(trips + 1)
    elseif answered > 0 then
      if count * 2 > PROBES_AT_ONCE_MAX then call('HSET', q .. 'gate', 'breaker', 'c', 'count', '0', 'trips', '0')
      else call('HSET', q .. 'gate', 'count', count * 2) end
    end
  end
  -- What comes in while the breaker is open was sent before it opened and says nothing new.
end

-- Whether the end of a job makes room for one that waits.
local function holds_by_number(q)
  local g = call('HMGET', q .. 'gate', 'cap', 'breaker')
  return g[1] or g[2] == 'p'
end
