-- states: of many jobs at once.
--
-- ARGV     what id…    what: "s" the states alone, "r" with the records; at most 500 ids
-- returns  for each: false or the state; with "r" the state and the record in turns
local out, with_records = {}, ARGV[2] == 'r'
for k = 3, #ARGV do
  local record = call('HGET', P .. 'jobs', ARGV[k])
  out[#out + 1] = record and where(ARGV[k], record, #ARGV - 2) or false
  if with_records then out[#out + 1] = record or false end
end
return out
