-- workers: who beat within the last age_max; who was silent for a day, or is beyond the thousandth, is forgotten.
--
-- ARGV     age_max_us
-- returns  the beats
local out, silent = {}, {}
local all = call('HGETALL', P .. 'workers')
for k = 1, #all, 2 do
  local at, beat = all[k + 1]:match('^(%d+) (.*)$')
  local age = wall - tonumber(at)
  if age <= tonumber(ARGV[2]) then out[#out + 1] = beat end
  if (age > 86400000000 or k > 2000) and #silent < 500 then silent[#silent + 1] = all[k] end
end
if #silent > 0 then call('HDEL', P .. 'workers', unpack(silent)) end
return out
