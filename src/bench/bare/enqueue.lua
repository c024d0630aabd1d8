-- Keeps records and makes them ready, unless they are there.
-- KEYS[1] list of ids that are ready   KEYS[2] hash of records by id
-- ARGV    id, record, id, record ...
for at = 1, #ARGV, 2 do
  if redis.call('HSETNX', KEYS[2], ARGV[at], ARGV[at + 1]) == 1 then
    redis.call('LPUSH', KEYS[1], ARGV[at])
  end
end
return #ARGV / 2
