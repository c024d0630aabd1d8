-- settle: ends deliveries, each fenced by its token, with everything that hangs on the end in the same step.
--
-- ARGV     queue keep keep_bytes more, then groups: op says token places count item×count
--            places: for each item two bytes, its place among the ids of the token's reserve; 0: not noted
--            says: "a" the other side answered, "o" it is down, "s" nothing about it
--            "C" completed   item = id record            the compact record
--            "R" retry       item = id due fault
--            "Z" snoozed     item = id due               the attempt is given back
--            "B" released    item = id                   the same, and it stands where it stood
--            "D" dead        item = id fault
--            "X" cancelled   item = id fault
--            "V" expired     item = id fault             dead, the attempt given back
--          and, when `more` is "1", after all of those, with says, token and places "-":
--            "N" notes       item = id notes
--            "U" key freed   item = id unique
--            "E" follow-up   item = id queue priority new_id record due key window px
--          each of which counts only if its job was settled in this very call.
-- returns  the places of what was fenced out; places count from 1 over the items of the first seven ops
-- O(items + pruned). Completed jobs beyond `keep`, or `keep_bytes`, go here: at most 500 a call, when 200 are over.
local queue, keep, keep_bytes, more = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[5] == '1'
local q = of(queue)
local held = {}
local width = { C = 2, R = 3, Z = 2, B = 1, D = 2, X = 2, V = 2, N = 2, U = 2, E = 9 }
local fenced, won, place = {}, {}, 0
local ended, moved, completed, completed_ids, bytes, awake = 0, {}, 0, nil, 0, false
local cancelling = call('EXISTS', q .. 'cancelling') == 1
local has_tries = call('EXISTS', P .. 'tries') == 1

local function count(state, id)
  local m = moved[state]
  if not m then m = {} moved[state] = m end
  m[#m + 1] = id
end

-- Whatever would bring back a job that was asked to stop ends it instead.
local function was_asked_to_stop(id)
  return cancelling and call('SREM', q .. 'cancelling', id) == 1
end

local function come_again(op, id, due)
  local late = tonumber(due) > now
  local prio = priority_of(id)
  if late then
    call('ZADD', q .. (op == 'R' and 'retry' or 'sched'), due, prio .. id)
    count(op == 'R' and 'retrying' or 'scheduled', id)
  else
    call('LPUSH', q .. 'r' .. prio, id)
    count('ready', id)
  end
  awake = true
  return late and due or now_text
end

local back = {}
local function end_badly(op, id, a, token)
  local attempts, crashes, due = tries_of(id)
  local worker = worker_of(token) or ''
  local used = (op == 'R' or op == 'D' or op == 'X') and 1 or 0
  local asked = was_asked_to_stop(id)
  if op == 'R' then add_fault(id, ARGV[a + 2]) end
  if asked and (op == 'R' or op == 'Z' or op == 'B') then
    add_fault(id, fault_of(attempts + 1, 'cancelled', 'cancelled on request while it ran'))
    set_tries(id, attempts + used, crashes, due, worker)
    bury(q, id, 'cancelled')
    count('cancelled', id)
  elseif op == 'R' or op == 'Z' then
    set_tries(id, attempts + used, crashes, come_again(op, id, ARGV[a + 1]), '')
  elseif op == 'B' then
    back[#back + 1] = id
    count('ready', id)
  else
    add_fault(id, ARGV[a + 1])
    set_tries(id, attempts + used, crashes, due, op == 'V' and '' or worker)
    local state = op == 'X' and 'cancelled' or 'dead'
    bury(q, id, state)
    count(state, id)
  end
end

local i, last = 6, #ARGV
while i <= last do
  local op, says, token, noted, n = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], tonumber(ARGV[i + 4])
  local w = width[op]
  i = i + 5
  if op == 'N' or op == 'U' or op == 'E' then
    for a = i, i + (n - 1) * w, w do
      if won[ARGV[a]] then
        if op == 'N' then call('HSET', P .. 'notes', ARGV[a], ARGV[a + 1])
        elseif op == 'U' then free_key(ARGV[a], ARGV[a + 1])
        else
          -- No bound: the parent has done its work, and nobody could take the answer.
          accept(ARGV[a + 1], ARGV[a + 2], ARGV[a + 3], ARGV[a + 4], ARGV[a + 5], ARGV[a + 6], ARGV[a + 7], ARGV[a + 8])
        end
      end
    end
  else
    if held[token] == nil then held[token] = places_of(q, token) or false end
    local ok, at, c, places = {}, {}, 0, held[token]
    local bytes_of_places = { noted:byte(1, -1) }
    for k = 1, n do
      local a = i + (k - 1) * w
      local its = bytes_of_places[2 * k - 1] * 256 + bytes_of_places[2 * k]
      if places and its == 0 then its = place_of(q, token, ARGV[a]) end
      if places and places[its] == RUNS then
        places[its] = ENDED
        c = c + 1
        ok[c], at[c] = ARGV[a], a
        if more then won[ARGV[a]] = true end
      else fenced[#fenced + 1] = place + k end
    end
    place = place + n
    if c > 0 then
      if op == 'C' then
        local large = {}
        for k = 1, c do
          local size = #ARGV[at[k] + 1]
          if size > LARGE then
            large[#large + 1], large[#large + 2] = ok[k], size
            bytes = bytes + size
          end
        end
        if #large > 0 then call('HSET', q .. 'large', unpack(large)) end
        if c == n then call('HSET', P .. 'jobs', unpack(ARGV, i, i + n * w - 1))
        else
          local put = {}
          for k = 1, c do put[2 * k - 1], put[2 * k] = ok[k], ARGV[at[k] + 1] end
          call('HSET', P .. 'jobs', unpack(put))
        end
        call('LPUSH', q .. 'done', unpack(ok))
        if has_tries then call('HDEL', P .. 'tries', unpack(ok)) end
        if cancelling then call('SREM', q .. 'cancelling', unpack(ok)) end
        completed_ids = completed == 0 and ok or nil
        completed = completed + c
      else
        for k = 1, c do end_badly(op, ok[k], at[k], token) end
      end
      ended = ended + c
      if says ~= 's' then record(q, says == 'o' and c or 0, says == 'a' and c or 0) end
    end
  end
  i = i + n * w
end

for token, places in pairs(held) do
  if places then keep_places(q, token, places) end
end

-- The first of the call goes to the very head, as it stood.
for k = #back, 1, -1 do
  call('RPUSH', q .. 'r' .. priority_of(back[k]), back[k])
  awake = true
end

if ended > 0 then
  bump(q, 'running', -ended)
  if completed > 0 then
    bump(q, 'completed', completed)
    bump(q, 'large', bytes)
    tell(queue, 'completed', completed, completed_ids)
  end
  for state, ids in pairs(moved) do
    bump(q, state, #ids)
    tell(queue, state, #ids, ids)
  end
  if awake or holds_by_number(q) then wake(q) end
  if completed > 0 then prune_done(q, keep, keep_bytes, 200) end
end
return fenced
