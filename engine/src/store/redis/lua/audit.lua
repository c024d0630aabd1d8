-- audit: the books of one queue, and the same counted from the jobs themselves, in one step.
--
-- ARGV     queue
-- returns  { books, scheduled, ready, running, retrying, completed, dead, cancelled }
-- O(1), but for the stale entries of cancelled jobs.
local q = of(ARGV[2])
local ready = 0
for class = 0, 3 do ready = ready + call('LLEN', q .. 'r' .. class) end
for _, stale in ipairs(call('HVALS', q .. 'gone')) do ready = ready - stale end
return { call('HGETALL', q .. 'n'), call('ZCARD', q .. 'sched'), ready, math.max(0, call('HLEN', q .. 'run') - 1),
  call('ZCARD', q .. 'retry'), call('LLEN', q .. 'done'), call('ZCARD', q .. 'dead'), call('ZCARD', q .. 'cancelled') }
