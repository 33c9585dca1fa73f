#!lua flags=allow-oom
-- Takes back that a token is revoked.
-- KEYS record
-- ARGV call
-- Returns {call, "ok" | "unknown"}
local op = redis.call('HGET', KEYS[1], 'o')
if not op then
  return {ARGV[1], 'unknown'}
end
redis.call('HDEL', KEYS[1], 'd', 'w', 'y')
redis.call('HSET', KEYS[1], 'o', op) -- so that replicas can acknowledge it
return {ARGV[1], 'ok'}
