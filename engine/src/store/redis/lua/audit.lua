-- audit: the books of one queue, and the same counted from the jobs themselves, in one step.
--
-- ARGV     queue
-- returns  { books, scheduled, ready, running, retrying, completed, dead, cancelled }
-- O(what runs), and the stale entries of cancelled jobs.
local q = of(ARGV[2])
local ready, running = 0, 0
for class = 0, 3 do ready = ready + call('LLEN', q .. 'r' .. class) end
for _, stale in ipairs(call('HVALS', q .. 'gone')) do ready = ready - stale end
for _, live in ipairs(call('HVALS', q .. 'live')) do
  local _, n = live:gsub('1', '')
  running = running + n
end
return { call('HGETALL', q .. 'n'), call('ZCARD', q .. 'sched'), ready, running,
  call('ZCARD', q .. 'retry'), call('LLEN', q .. 'done'), call('ZCARD', q .. 'dead'), call('ZCARD', q .. 'cancelled') }
