-- move_cursor: moves a schedule's cursor when it still stands where the caller saw it.
--
-- ARGV     schedule from to    from: empty when there was none
-- returns  1 when it was moved
local at = call('HGET', P .. 'cursors', ARGV[2]) or ''
if at ~= ARGV[3] then return 0 end
call('HSET', P .. 'cursors', ARGV[2], ARGV[4])
return 1
