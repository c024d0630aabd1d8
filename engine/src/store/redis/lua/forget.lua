-- Forgetting finished jobs.

-- Everything of the ids but the entry in their state's own structure.
local function forget(ids)
  call('HDEL', P .. 'jobs', unpack(ids))
  for _, part in ipairs({ 'tries', 'faults', 'notes' }) do
    if call('EXISTS', P .. part) == 1 then call('HDEL', P .. part, unpack(ids)) end
  end
end

-- The oldest `n` completed jobs.
local function forget_done(q, n)
  local old = call('RPOP', q .. 'done', n)
  if not old then return 0 end
  local records, bytes = call('HMGET', P .. 'jobs', unpack(old)), 0
  for k = 1, #old do bytes = bytes + (records[k] and #records[k] or 0) end
  forget(old)
  bump(q, 'kept', -bytes)
  bump(q, 'completed', -#old)
  bump(q, 'pruned', #old)
  return #old
end

-- Completed jobs beyond their number or their bytes, when that is `slack` jobs at least; at most 500.
local function prune_done(q, keep, keep_bytes, slack)
  local n = call('HMGET', q .. 'n', 'completed', 'kept')
  local have, bytes = tonumber(n[1] or 0), tonumber(n[2] or 0)
  local over = have - keep
  if bytes > keep_bytes and have > 0 then over = math.max(over, math.ceil((bytes - keep_bytes) / (bytes / have))) end
  if over < slack or over <= 0 then return 0 end
  return forget_done(q, math.min(over, 500))
end
