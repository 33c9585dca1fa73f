#!lua flags=allow-oom
-- Takes a gate off the list that has not renewed its lease since it was seen.
-- KEYS members
-- ARGV call, member, its renewal as it was seen
-- Returns {call, "ok"}
local call, member, renewal = unpack(ARGV)
if redis.call('HGET', KEYS[1], member) == renewal then
  redis.call('HDEL', KEYS[1], member)
end
return {call, 'ok'}
