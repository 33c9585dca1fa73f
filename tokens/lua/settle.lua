#!lua flags=allow-oom
-- Records how a use ended. Idempotent; repeated until Redis has answered.
-- KEYS record, reserved, charged, cancelled
-- ARGV call, nonce, "commit" | "refund" | "return", ms to remember a refunded nonce that
--      held a use, ms for one that held none, ms to keep the uses of a record
--      that is gone
-- Returns {call, "ok"}
-- A refund of a nonce that Redis has not seen turns its late redemption into
-- a no-op; a commit of one charges it. To return a use is to refund it unless it
-- was charged.
local call, nonce, outcome, held_memory, late_memory, keep = unpack(ARGV)
local held = redis.call('HDEL', KEYS[2], nonce)
if outcome == 'return' and redis.call('SISMEMBER', KEYS[3], nonce) == 1 then
  redis.call('SADD', KEYS[3], nonce) -- so that replicas can acknowledge it
  return {call, 'ok'}
end
if outcome ~= 'commit' then
  held = held + redis.call('SREM', KEYS[3], nonce)
  redis.call('SET', KEYS[4], '', 'PX', held > 0 and held_memory or late_memory)
  return {call, 'ok'}
end
redis.call('SADD', KEYS[3], nonce)
local ttl = redis.call('PTTL', KEYS[1])
if ttl == -2 then
  ttl = tonumber(keep)
end
if ttl >= 0 then
  redis.call('PEXPIRE', KEYS[3], math.max(ttl, 1))
end
return {call, 'ok'}
