-- Makes a reservation stay until it is settled: what it is for may be stored from
-- now on, so it must not go to somebody else because time has passed.
-- KEYS record, reserved, charged, cancelled
-- ARGV call, nonce
-- Returns {call, status}: "ok", or "lapsed" if the use is not held any more
local call, nonce = unpack(ARGV)
if redis.call('HEXISTS', KEYS[2], nonce) == 1 then
  redis.call('HSET', KEYS[2], nonce, 'stays')
  return {call, 'ok'}
end
if redis.call('SISMEMBER', KEYS[3], nonce) == 1 then
  redis.call('SADD', KEYS[3], nonce)
  return {call, 'ok'}
end
return {call, 'lapsed'}
