-- set_gate: changes fields of a queue's gate, and has those who wait look again.
--
-- ARGV     queue (field value)…    an empty value removes the field
local q = of(ARGV[2])
call('SADD', P .. 'queues', ARGV[2])
for k = 3, #ARGV, 2 do
  if ARGV[k + 1] == '' then call('HDEL', q .. 'gate', ARGV[k])
  else call('HSET', q .. 'gate', ARGV[k], ARGV[k + 1]) end
end
wake(q)
