-- Takes the oldest ids under a lease of the server's time.
-- KEYS[1] list of ids that are ready   KEYS[2] sorted set of leases, ids by deadline   KEYS[3] hash of records by id
-- ARGV[1] how many at most             ARGV[2] milliseconds of the lease
-- Returns the ids, and their records in the same order.
local ids = redis.call('RPOP', KEYS[1], ARGV[1])
if not ids then
  return {{}, {}}
end
local time = redis.call('TIME')
local deadline = string.format('%d', time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[2])
local leases = {}
for _, id in ipairs(ids) do
  leases[#leases + 1] = deadline
  leases[#leases + 1] = id
end
redis.call('ZADD', KEYS[2], unpack(leases))
return {ids, redis.call('HMGET', KEYS[3], unpack(ids))}
