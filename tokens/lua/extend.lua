-- Reserves more bytes of an open use for a running request, and keeps the use
-- open.
-- KEYS record, cancelled, open, open use
-- ARGV call, nonce, use, bytes that the request wants in all
-- Returns {call, "ok", bytes that it may give out in all} or {call, "unknown" |
-- "revoked" | "cancelled" | "used"}.
local call, nonce, use, wanted = unpack(ARGV)
local r = redis.call('HMGET', KEYS[1], 'm', 'd', 'r')
if not r[1] then
  return {call, 'unknown'}
end
if r[2] then
  return {call, 'revoked'}
end
if redis.call('EXISTS', KEYS[2]) == 1 then
  return {call, 'cancelled'}
end
local o = redis.call('HMGET', KEYS[4], 'b', 'n', 'f', 'a' .. nonce, 'z' .. nonce)
if not o[1] then
  return {call, 'used'}
end
if o[5] then
  return {call, 'cancelled'}
end
-- A Redis that was rolled back has forgotten some of what it granted. What is
-- wanted is a sum, so it comes back with the next request for more.
local have = tonumber(o[4] or '0')
local more = math.max(0, math.min(wanted - have, o[1] - o[2]))
local granted = string.format('%.0f', have + more)
redis.call('HSET', KEYS[4], 'a' .. nonce, granted)
redis.call('HINCRBY', KEYS[4], 'n', string.format('%.0f', more))
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
redis.call('ZADD', KEYS[3], string.format('%.0f', math.min(now + r[3], o[3] + 86400000)), use)
local ttl, days = redis.call('PTTL', KEYS[1]), 172800000
if ttl >= 0 then
  redis.call('PEXPIRE', KEYS[3], math.max(ttl, 1))
  days = math.max(math.min(ttl, days), 1)
end
redis.call('PEXPIRE', KEYS[4], days)
return {call, 'ok', granted}
