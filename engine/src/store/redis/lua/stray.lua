-- stray: tokens of one queue that hold jobs and have no lease, a page at a time.
--
-- ARGV     queue cursor
-- returns  { next cursor, token… }    done when the cursor is "0"
-- O(300).
local page = call('HSCAN', of(ARGV[2]) .. 'live', ARGV[3], 'COUNT', 300)
local found = { page[1] }
for k = 1, #page[2], 2 do
  if not call('ZSCORE', P .. 'lease', page[2][k]) then found[#found + 1] = page[2][k] end
end
return found
