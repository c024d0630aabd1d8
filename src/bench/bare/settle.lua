-- Forgets jobs that are done.
-- KEYS[1] sorted set of leases   KEYS[2] hash of records by id
-- ARGV    ids
redis.call('ZREM', KEYS[1], unpack(ARGV))
return redis.call('HDEL', KEYS[2], unpack(ARGV))
