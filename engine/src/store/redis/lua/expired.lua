-- expired: the queues in which leases ran out.
--
-- returns  { queue, tokens that ran out }…    at most 500 tokens
-- O(tokens).
local by, found = {}, {}
for _, token in ipairs(call('ZRANGEBYSCORE', P .. 'lease', '-inf', '(' .. int(wall), 'LIMIT', 0, 500)) do
  local queue = (call('HGET', P .. 'who', token) or ''):match('^%S+')
  if queue then
    local tokens = by[queue]
    if not tokens then
      tokens = {}
      by[queue] = tokens
      found[#found + 1] = queue
      found[#found + 1] = tokens
    end
    tokens[#tokens + 1] = token
  else call('ZREM', P .. 'lease', token) end
end
return found
