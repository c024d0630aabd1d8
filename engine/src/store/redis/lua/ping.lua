-- ping: proves that the server answers and can write; promotes a slice of what is due in every queue.
call('HSET', P .. 'meta', 'pulse', int(wall))
for _, queue in ipairs(call('SMEMBERS', P .. 'queues')) do
  local q = of(queue)
  if promote(queue, q) > 0 then wake(q) end
end
