-- Takes back that a token is revoked.
-- KEYS record
-- ARGV call
-- Returns {call, "ok" | "unknown"}
if redis.call('EXISTS', KEYS[1]) == 0 then
  return {ARGV[1], 'unknown'}
end
redis.call('HDEL', KEYS[1], 'd', 'w', 'y')
return {ARGV[1], 'ok'}
