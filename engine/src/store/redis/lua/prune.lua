-- prune: forgets one slice of the finished jobs of one queue that are beyond a bound.
--
-- ARGV     queue jobs_max completed_before ended_before bytes_max    instants of the shop
-- returns  how many; 0 when nothing is beyond the bounds
-- O(500).
local queue, jobs_max, completed_before, ended_before = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[5]
local q = of(queue)
local n = call('HMGET', q .. 'n', 'completed', 'dead', 'cancelled')
if tonumber(n[1] or 0) + tonumber(n[2] or 0) + tonumber(n[3] or 0) == 0 then return 0 end
local pruned = prune_done(q, jobs_max, tonumber(ARGV[6]), 1)

-- Too old: the oldest stand at the end of the list.
local old = 0
local tail = call('LRANGE', q .. 'done', -500, -1)
if #tail > 0 then
  local records = call('HMGET', P .. 'jobs', unpack(tail))
  for k = #tail, 1, -1 do
    local line = (records[k] or ''):match('^[^\n]*')
    local finished = line:match('^..\t[^\t]*\t[^\t]*\t[^\t]*\t[^\t]*\t[^\t]*\t[^\t]*\t(%d+)')
    if finished and tonumber(finished) >= completed_before then break end
    old = old + 1
  end
  if old > 0 then pruned = pruned + forget_done(q, old) end
end

for _, state in ipairs({ 'dead', 'cancelled' }) do
  local ids = call('ZRANGEBYSCORE', q .. state, '-inf', '(' .. ended_before, 'LIMIT', 0, 500)
  local over = call('ZCARD', q .. state) - jobs_max
  if over > #ids then ids = call('ZRANGE', q .. state, 0, math.min(over, 500) - 1) end
  if #ids > 0 then
    call('ZREM', q .. state, unpack(ids))
    forget(ids)
    bump(q, state, -#ids)
    bump(q, 'pruned', #ids)
    pruned = pruned + #ids
  end
end
return pruned
