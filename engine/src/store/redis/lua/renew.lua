-- renew: prolongs leases that live, stores notes, tells who must stop.
--
-- ARGV     queue lease_us tokens token… jobs (id token place)… notes (id token notes)…    each list after its length;
--          notes are of jobs in the list before; place 0: not noted
-- returns  { places in the list of the jobs that are lost, of those asked to stop }
-- O(tokens log leases + jobs); at most 500 jobs.
local q = of(ARGV[2])
local till, live = int(wall + ARGV[3]), {}
local n, i = tonumber(ARGV[4]), 5
for k = i, i + n - 1 do
  local token = ARGV[k]
  local ends = call('ZSCORE', P .. 'lease', token)
  -- One that ran out is not revived: the reaper may be half way through it.
  if ends and tonumber(ends) >= wall then
    call('ZADD', P .. 'lease', 'XX', 'GT', till, token)
    live[token] = places_of(q, token)
  end
end
i = i + n
n = tonumber(ARGV[i])
i = i + 1
local lost, stopping, mine = {}, {}, {}
local some_asked = call('EXISTS', q .. 'cancelling') == 1
for k = 1, n do
  local a = i + 3 * (k - 1)
  local id, token, place = ARGV[a], ARGV[a + 1], tonumber(ARGV[a + 2])
  local places = live[token]
  if places and place == 0 then place = place_of(q, token, id) end
  if not places or places[place] ~= RUNS then lost[#lost + 1] = k
  else
    mine[id] = token
    if some_asked and call('SISMEMBER', q .. 'cancelling', id) == 1 then stopping[#stopping + 1] = k end
  end
end
i = i + 3 * n
n = tonumber(ARGV[i])
i = i + 1
for a = i, i + 3 * (n - 1), 3 do
  if mine[ARGV[a]] == ARGV[a + 1] then call('HSET', P .. 'notes', ARGV[a], ARGV[a + 2]) end
end
return { lost, stopping }
