-- How a job that runs or waits ends other than well, and how one comes back.

local FAULTS_MAX = 10

local function add_fault(id, fault)
  local lines = {}
  for line in (call('HGET', P .. 'faults', id) or ''):gmatch('[^\n]+') do lines[#lines + 1] = line end
  lines[#lines + 1] = fault
  call('HSET', P .. 'faults', id, table.concat(lines, '\n', math.max(1, #lines - FAULTS_MAX + 1)))
end

local function fault_of(attempt, cause, message)
  return string.format('{"attempt":%d,"at":%s,"cause":"%s","message":%s}', attempt, now_text, cause, cjson.encode(message))
end

local function tries_of(id)
  local attempts, crashes, due, worker = (call('HGET', P .. 'tries', id) or '0:0::'):match('^(%d+):(%d+):(%d*):(.*)$')
  return tonumber(attempts), tonumber(crashes), due, worker
end

local function set_tries(id, attempts, crashes, due, worker)
  call('HSET', P .. 'tries', id, attempts .. ':' .. crashes .. ':' .. due .. ':' .. worker)
end

-- A plain key is free again when its job ends; a window runs on.
local function free_key(id, unique)
  if unique:sub(1, 1) ~= 'k' then return end
  local key = P .. 'u:' .. unique:sub(2)
  if call('GET', key) == id then call('DEL', key) end
end

-- To `dead` or `cancelled`, from wherever the caller took it. The record keeps its payload: it can be retried.
local function bury(q, id, state)
  local record = call('HGET', P .. 'jobs', id)
  call('HSET', P .. 'jobs', id, (state == 'dead' and 'd' or 'x') .. record:sub(2))
  call('ZADD', q .. state, now_text, id)
  free_key(id, record:match('^..\t[^\t]*\t([^\t]*)\t'))
end

local function priority_of(id) return call('HGET', P .. 'jobs', id):sub(2, 2) end
