#!lua flags=allow-oom
-- Marks a token as revoked. The first reason and author stay.
-- KEYS record
-- ARGV call, author, reason
-- Returns {call, "ok" | "unknown"}
local call, author, reason = unpack(ARGV)
if redis.call('EXISTS', KEYS[1]) == 0 then
  return {call, 'unknown'}
end
local revoked = redis.call('HGET', KEYS[1], 'd')
if revoked then
  redis.call('HSET', KEYS[1], 'd', revoked) -- so that replicas can acknowledge it
else
  local t = redis.call('TIME')
  redis.call('HSET', KEYS[1], 'd', string.format('%.0f', t[1] * 1000 + math.floor(t[2] / 1000)),
    'w', author, 'y', reason)
end
return {call, 'ok'}
