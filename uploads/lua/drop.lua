-- Takes an upload out of the journal.
-- KEYS entry
-- ARGV call, fence
-- Returns {call, status}: "ok", "taken" if somebody else has it, "gone"
local call, fence = unpack(ARGV)
local f = redis.call('HGET', KEYS[1], 'f')
if not f then
  return {call, 'gone'}
end
if f ~= fence then
  return {call, 'taken'}
end
redis.call('DEL', KEYS[1])
return {call, 'ok'}
