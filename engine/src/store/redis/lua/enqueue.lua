-- enqueue: takes jobs in, each item stored or not at all.
--
-- ARGV     groups: form queue priority count item×count
--            "R" ready:      item = id record
--            "S" scheduled:  item = id record due
--            "U" with a key: item = id record due key window px      (see accept.lua)
-- returns  place and answer of each item that was not stored, in turns; places count from 1 over all items
--          answers: 0 its id is known, "full", or the id of the job that holds its unique key
-- O(items). Writes one HSET, one LPUSH or ZADD a group; at most 1,000 items.
local refused, place = {}, 0
local function refuse(at, answer)
  refused[#refused + 1] = at
  refused[#refused + 1] = answer
end

local i, last = 2, #ARGV
while i <= last do
  local form, queue, prio, n = ARGV[i], ARGV[i + 1], ARGV[i + 2], tonumber(ARGV[i + 3])
  local q = of(queue)
  i = i + 4
  if form == 'U' then
    for k = 1, n do
      local a = i + (k - 1) * 6
      local answer = accept(queue, prio, ARGV[a], ARGV[a + 1], ARGV[a + 2], ARGV[a + 3], ARGV[a + 4], ARGV[a + 5], true)
      if answer then refuse(place + k, answer) end
    end
    i = i + n * 6
  else
    local width, ids = form == 'R' and 2 or 3, {}
    for k = 1, n do ids[k] = ARGV[i + (k - 1) * width] end
    -- Asking for all first and writing once is a fifth cheaper than HSETNX for each; `seen` catches a repeat inside.
    local known, seen, room = call('HMGET', P .. 'jobs', unpack(ids)), {}, room_of(q)
    local put, new, due, c = {}, {}, {}, 0
    for k = 1, n do
      local id, a = ids[k], i + (k - 1) * width
      if known[k] or seen[id] then refuse(place + k, 0)
      elseif c >= room then refuse(place + k, 'full')
      else
        c = c + 1
        seen[id] = true
        put[2 * c - 1], put[2 * c], new[c] = id, ARGV[a + 1], id
        if form == 'S' then due[2 * c - 1], due[2 * c] = ARGV[a + 2], prio .. id end
      end
    end
    if c > 0 then
      call('HSET', P .. 'jobs', unpack(put))
      if form == 'R' then
        call('LPUSH', q .. 'r' .. prio, unpack(new))
        accepted(queue, q, c, 0, new)
      else
        call('ZADD', q .. 'sched', unpack(due))
        accepted(queue, q, 0, c, new)
      end
    end
    i = i + n * width
  end
  place = place + n
end
return refused
