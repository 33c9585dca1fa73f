#!lua flags=allow-oom
-- Takes back that a token is revoked, unless it was for another one that took its
-- place.
-- KEYS record
-- ARGV call
-- Returns {call, "ok" | "unknown" | "reissued"}
local op = redis.call('HGET', KEYS[1], 'o')
if not op then
  return {ARGV[1], 'unknown'}
end
if redis.call('HEXISTS', KEYS[1], 'i') == 1 then
  return {ARGV[1], 'reissued'}
end
redis.call('HDEL', KEYS[1], 'd', 'w', 'y')
redis.call('HSET', KEYS[1], 'o', op) -- so that replicas can acknowledge it
return {ARGV[1], 'ok'}
