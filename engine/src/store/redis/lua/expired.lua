-- expired: the queues in which leases ran out, or, when asked, every queue in which something runs.
--
-- ARGV     "1" for every queue
-- returns  { queue, tokens that ran out }…    at most 500 tokens
-- O(tokens), or O(queues) when asked for all.
local by, found = {}, {}
local function list(queue)
  if not by[queue] then
    by[queue] = {}
    found[#found + 1] = queue
    found[#found + 1] = by[queue]
  end
  return by[queue]
end
for _, token in ipairs(call('ZRANGEBYSCORE', P .. 'lease', '-inf', '(' .. int(wall), 'LIMIT', 0, 500)) do
  local queue = (call('HGET', P .. 'who', token) or ''):match('^%S+')
  if queue then
    local tokens = list(queue)
    tokens[#tokens + 1] = token
  else call('ZREM', P .. 'lease', token) end
end
if ARGV[2] == '1' then
  for _, queue in ipairs(call('SMEMBERS', P .. 'queues')) do
    if call('HLEN', of(queue) .. 'run') > 1 then list(queue) end
  end
end
return found
