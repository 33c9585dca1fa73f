-- Takes a round of a bucket, if nobody else has it.
-- KEYS claim
-- ARGV call, ms after which another takes it if nothing was noted
-- Returns {call, status}: "ok", or "taken"
local call, life = unpack(ARGV)
local holder = redis.call('GET', KEYS[1])
if holder == call then
  return {call, 'ok'} -- the answer was lost
end
if holder then
  return {call, 'taken'}
end
redis.call('SET', KEYS[1], call, 'PX', life)
return {call, 'ok'}
