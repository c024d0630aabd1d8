-- Forgetting finished jobs.

-- Everything of the ids but the entry in their state's own structure.
local function forget(ids)
  call('HDEL', P .. 'jobs', unpack(ids))
  for _, part in ipairs({ 'tries', 'faults', 'notes' }) do
    if call('EXISTS', P .. part) == 1 then call('HDEL', P .. part, unpack(ids)) end
  end
end

-- Of each completed record so many bytes are reckoned; what is longer is noted with its length. To read the records
-- again when they go would cost as much as to forget them.
local LARGE = 512

-- Bytes of the larger ones among completed jobs that go.
local function forget_large(q, ids)
  if call('EXISTS', q .. 'large') == 0 then return end
  local sizes, bytes = call('HMGET', q .. 'large', unpack(ids)), 0
  for k = 1, #ids do bytes = bytes + (sizes[k] or 0) end
  call('HDEL', q .. 'large', unpack(ids))
  bump(q, 'large', -bytes)
end

-- The oldest `n` completed jobs.
local function forget_done(q, n)
  local old = call('RPOP', q .. 'done', n)
  if not old then return 0 end
  forget(old)
  forget_large(q, old)
  bump(q, 'completed', -#old)
  bump(q, 'pruned', #old)
  return #old
end

-- Completed jobs beyond their number or their bytes, when that is `slack` jobs at least; at most 500.
local function prune_done(q, keep, keep_bytes, slack)
  local n = call('HMGET', q .. 'n', 'completed', 'large')
  local have, bytes = tonumber(n[1] or 0), tonumber(n[2] or 0)
  local large = bytes > 0 and call('HLEN', q .. 'large') or 0
  bytes = bytes + (have - large) * LARGE
  local over = have - keep
  if bytes > keep_bytes and have > 0 then over = math.max(over, math.ceil((bytes - keep_bytes) / (bytes / have))) end
  if over < slack or over <= 0 then return 0 end
  return forget_done(q, math.min(over, 500))
end
