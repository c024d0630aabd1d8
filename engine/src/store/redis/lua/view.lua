-- view: everything that is known of some jobs.
--
-- ARGV     id…    at most 500
-- returns  for each: false, or { record, state, ended or false, tries, faults, notes, worker, "1" when asked to stop }
local out = {}
for k = 2, #ARGV do
  local id = ARGV[k]
  local record = call('HGET', P .. 'jobs', id)
  if not record then out[k - 1] = false
  else
    local state, at = where(id, record, #ARGV - 1)
    local q, worker, asked = of(record:match('^..\t([^\t]*)\t')), false, false
    if state == 'running' then
      worker = worker_of(at) or false
      asked = call('SISMEMBER', q .. 'cancelling', id) == 1 and '1'
    end
    local ended = (state == 'dead' or state == 'cancelled') and at or false
    out[k - 1] = { record, state, ended, call('HGET', P .. 'tries', id), call('HGET', P .. 'faults', id),
      call('HGET', P .. 'notes', id), worker, asked }
  end
end
return out
