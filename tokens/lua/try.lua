-- Counts a try at a token's passcode before it is known whether it is right,
-- or takes one back that was. Tries are members with their times, not a
-- number, so that a command which is repeated has one effect.
-- KEYS tries
-- ARGV call, nonce, most tries, window ms, "try" | "passed"
-- Returns {call, "ok"} or {call, "tries", ms until the oldest try is forgotten}
local call, nonce, most, window, what = unpack(ARGV)
if what == 'passed' then
  redis.call('ZREM', KEYS[1], nonce)
  return {call, 'ok'}
end
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now - tonumber(window)))
if redis.call('ZSCORE', KEYS[1], nonce) then
  return {call, 'ok'}
end
if redis.call('ZCARD', KEYS[1]) >= tonumber(most) then
  local oldest = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')
  return {call, 'tries', string.format('%.0f', tonumber(oldest[2]) + tonumber(window) - now)}
end
redis.call('ZADD', KEYS[1], string.format('%.0f', now), nonce)
redis.call('PEXPIRE', KEYS[1], window)
return {call, 'ok'}
