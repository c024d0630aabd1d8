-- beat: a worker says that it lives.
--
-- ARGV     name json
call('HSET', P .. 'workers', ARGV[2], int(wall) .. ' ' .. ARGV[3])
