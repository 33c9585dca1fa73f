-- Reserves more bytes of an open use for a running request, and keeps the use
-- open.
-- KEYS record, open, open use
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
local o = redis.call('HMGET', KEYS[3], 'b', 'n', 'f', 'a' .. nonce, 'z' .. nonce)
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
redis.call('HSET', KEYS[3], 'a' .. nonce, granted)
redis.call('HINCRBY', KEYS[3], 'n', string.format('%.0f', more))
redis.call('PEXPIRE', KEYS[3], 172800000)
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
redis.call('ZADD', KEYS[2], string.format('%.0f', math.min(now + r[3], o[3] + 86400000)), use)
return {call, 'ok', granted}
