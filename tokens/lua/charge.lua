-- Charges a reserved use, before the first byte of it is given out.
-- KEYS record, reserved, charged, cancelled
-- ARGV call, nonce
-- Returns {call, "ok" | "unknown" | "revoked" | "cancelled" | "used"}; anything
-- but ok means that nothing may be given out.
local call, nonce = unpack(ARGV)
local r = redis.call('HMGET', KEYS[1], 'm', 'd')
if not r[1] then
  return {call, 'unknown'}
end
if r[2] then
  return {call, 'revoked'}
end
if redis.call('EXISTS', KEYS[4]) == 1 then
  return {call, 'cancelled'}
end
-- A reservation that Redis lost in a failover may have gone to somebody else, and
-- the limit may be lower than when it was made.
if redis.call('SISMEMBER', KEYS[3], nonce) == 0 then
  local held, charged = redis.call('HDEL', KEYS[2], nonce), redis.call('SCARD', KEYS[3])
  if charged >= tonumber(r[1]) or held == 0 and redis.call('HLEN', KEYS[2]) + charged >= tonumber(r[1]) then
    return {call, 'used'}
  end
end
redis.call('SADD', KEYS[3], nonce)
-- As long as the record: see redeem.lua.
local ttl = redis.call('PTTL', KEYS[1])
if ttl >= 0 then
  redis.call('PEXPIRE', KEYS[3], math.max(ttl, 1))
end
return {call, 'ok'}
