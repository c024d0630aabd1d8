-- reserve: promotes a slice of what is due, asks the gate, hands out up to n jobs under one token.
--
-- ARGV     queue n lease_us worker turns inline
-- returns  { token, wall, now, ids, records, tries }     ids: in one text, a space between them
--            up to `inline` jobs: a record for each id; tries for each, or false when no job came back ever
--            more: records is false, and tries 1 or false; the caller reads them with HMGET
--      or  { "empty", wall, now, next due or false }
--      or  { "held", wall, now, reason, until or false }  wall time
--      or  { "again", wall, now }                         only stale entries were met: ask again at once
-- O(n + promoted).
local queue, want, turns = ARGV[2], tonumber(ARGV[3]), ARGV[6]
local q = of(queue)
local n = call('HMGET', q .. 'n', 'ready', 'given', 'running', 'scheduled', 'retrying')
local later = tonumber(n[4] or 0) > 0 or tonumber(n[5] or 0) > 0
local ready = tonumber(n[1] or 0)
if later then ready = ready + promote(queue, q) end
if ready <= 0 then return { 'empty', int(wall), now_text, later and next_due(q) } end
want = math.min(want, ready)
local room, reason, again_at = admit(q, tonumber(n[3] or 0), want)
if not room then return { 'held', int(wall), now_text, reason, again_at or false } end
local took = reason

-- Whose turn each job is, counted over all jobs ever given, so that the shares hold for n = 1 too; what a priority
-- leaves goes to the highest that has jobs.
local given, left, ids = tonumber(n[2] or 0), room, {}
local quota, rounds = { [0] = 0, 0, 0, 0 }, math.floor(room / #turns)
if rounds > 0 then
  for k = 1, #turns do
    local class = turns:byte(k) - 48
    quota[class] = quota[class] + rounds
  end
end
for k = given, given + room % #turns - 1 do
  local class = turns:byte(k % #turns + 1) - 48
  quota[class] = quota[class] + 1
end
local function take(class, most)
  local got = call('RPOP', q .. 'r' .. class, most)
  if not got then return end
  left = left - #got
  if #ids == 0 then ids = got return end
  for k = 1, #got do ids[#ids + 1] = got[k] end
end
for class = 0, 3 do
  if quota[class] > 0 then take(class, quota[class]) end
end
for class = 0, 3 do
  if left > 0 then take(class, left) end
end

-- A job that was cancelled while it was ready left its entry behind: those are dropped, and others take their places.
if call('EXISTS', q .. 'gone') == 1 then
  for round = 1, 5 do
    if #ids == 0 then break end
    local stale, keep = call('HMGET', q .. 'gone', unpack(ids)), {}
    for k = 1, #ids do
      if stale[k] and call('HEXISTS', q .. 'gone', ids[k]) == 1 then
        if call('HINCRBY', q .. 'gone', ids[k], -1) <= 0 then call('HDEL', q .. 'gone', ids[k]) end
        left = left + 1
      else keep[#keep + 1] = ids[k] end
    end
    local clean = #keep
    if clean == #ids then break end
    ids = keep
    for class = 0, 3 do
      if left > 0 and round < 5 then take(class, left) end
    end
    if #ids == clean then break end
  end
end
local c = #ids
if c == 0 then return { 'again', int(wall), now_text } end
if took then took(c) end

-- At least the time: a server that forgot its last steps (a snapshot, a power cut, a failover) repeats no token.
local token = int(math.max(wall, (call('GET', P .. 'seq') or 0) + 1))
call('SET', P .. 'seq', token)
local listed = table.concat(ids, ' ')
call('HSET', q .. 'run', token, ' ' .. listed .. ' ')
call('HSET', q .. 'live', token, string.rep('1', c))
call('HSET', P .. 'who', token, queue .. ' ' .. ARGV[5])
call('ZADD', P .. 'lease', int(wall + ARGV[4]), token)
-- Through a script a record costs the server twice what it costs by itself; one that comes alone must not wait.
local records, tries = false, call('EXISTS', P .. 'tries') == 1 and 1
if c <= tonumber(ARGV[7]) then
  records = call('HMGET', P .. 'jobs', unpack(ids))
  tries = tries and call('HMGET', P .. 'tries', unpack(ids))
end
bump(q, 'ready', -c)
bump(q, 'running', c)
bump(q, 'given', c)
tell(queue, 'running', c, ids)
-- The baton: what is left is for another, unless the gate holds it.
if ready > c and room == want then wake(q) end
return { token, int(wall), now_text, listed, records, tries }
