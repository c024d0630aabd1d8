-- expired: the queues that hold leases which ran out, or, when asked, every queue in which something runs.
--
-- ARGV     "1" for every queue
-- returns  { queue, tokens that ran out }…    at most 500 tokens each
-- O(queues).
local found = {}
for _, queue in ipairs(call('SMEMBERS', P .. 'queues')) do
  local q = of(queue)
  local out = call('ZRANGEBYSCORE', q .. 'lease', '-inf', '(' .. int(wall), 'LIMIT', 0, 500)
  if #out > 0 or (ARGV[2] == '1' and call('HLEN', q .. 'run') > 1) then
    found[#found + 1] = queue
    found[#found + 1] = out
  end
end
return found
