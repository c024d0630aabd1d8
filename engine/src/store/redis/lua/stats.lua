-- stats: the books and gates of every queue.
--
-- returns  { wall }, then for each queue { name, books, gate, due times of the oldest ready jobs }; books and gate as
--          field and value in turns
-- O(queues); promotes a slice of what is due, so that the books tell what is ready.
local out = { int(wall) }
for _, queue in ipairs(call('SMEMBERS', P .. 'queues')) do
  local q, oldest = of(queue), {}
  promote(queue, q)
  for class = 0, 3 do
    -- A few, as some may be stale entries of cancelled jobs.
    local found = false
    for _, id in ipairs(call('LRANGE', q .. 'r' .. class, -5, -1)) do
      local record = call('HGET', P .. 'jobs', id)
      if not found and record and record:sub(1, 1) == 'w' then
        local due = (call('HGET', P .. 'tries', id) or ''):match('^%d+:%d+:(%d+):')
        oldest[#oldest + 1] = due or record:match('^..\t[^\t]*\t[^\t]*\t[^\t]*\t([^\t]*)\t')
      end
    end
  end
  out[#out + 1] = { queue, call('HGETALL', q .. 'n'), call('HGETALL', q .. 'gate'), oldest }
end
return out
