-- renew: prolongs leases that live, stores notes, tells who must stop.
--
-- ARGV     queue lease_us tokens token… jobs (id token)… notes (id token notes)…    each list after its length
-- returns  { places of the jobs that are lost, places of those asked to stop }
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
    live[token] = true
  end
end
i = i + n
n = tonumber(ARGV[i])
i = i + 1
local ids, lost, stopping = {}, {}, {}
for k = 1, n do ids[k] = ARGV[i + 2 * (k - 1)] end
local owner = call('HMGET', q .. 'run', unpack(ids))
local asked = call('EXISTS', q .. 'cancelling') == 1 and call('SMISMEMBER', q .. 'cancelling', unpack(ids))
for k = 1, n do
  local token = ARGV[i + 2 * k - 1]
  if owner[k] ~= token or not live[token] then lost[#lost + 1] = k
  elseif asked and asked[k] == 1 then stopping[#stopping + 1] = k end
end
i = i + 2 * n
n = tonumber(ARGV[i])
i = i + 1
for a = i, i + 3 * (n - 1), 3 do
  if live[ARGV[a + 1]] and call('HGET', q .. 'run', ARGV[a]) == ARGV[a + 1] then
    call('HSET', P .. 'notes', ARGV[a], ARGV[a + 2])
  end
end
return { lost, stopping }
