-- Reads everything that is known of a token.
-- KEYS record, reserved, charged
-- ARGV call
-- Returns {call, "unknown"} or {call, "ok", operation, grant, expires, not-before,
-- max uses, resume window, slack, cut at expiry, now ms, revoked ms or "", author, reason, reserved, charged}
local call = ARGV[1]
local r = redis.call('HMGET', KEYS[1], 'o', 'g', 'x', 'b', 'm', 'd', 'w', 'y', 'r', 'l', 'e')
if not r[1] then
  return {call, 'unknown'}
end
local t = redis.call('TIME')
return {call, 'ok', r[1], r[2], r[3], r[4] or '', r[5], r[9] or '', r[10] or '', r[11] or '',
  string.format('%.0f', t[1] * 1000 + math.floor(t[2] / 1000)),
  r[6] or '', r[7] or '', r[8] or '',
  redis.call('HLEN', KEYS[2]), redis.call('SCARD', KEYS[3])}
