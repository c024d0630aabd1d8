-- claim: binds the namespace to its owner, once.
--
-- ARGV     owner
-- returns  the owner: the one given when it is new or the same; and 1 when it is new
local owner = call('HGET', P .. 'meta', 'owner')
if owner then return { owner, 0 } end
call('HSET', P .. 'meta', 'owner', ARGV[2])
return { ARGV[2], 1 }
