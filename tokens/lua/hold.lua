-- Lets a token keep its place among the open tokens of one holder until it
-- expires.
-- KEYS places
-- ARGV call, member, expires ms
-- Returns {call, "ok"}
redis.call('ZADD', KEYS[1], ARGV[3], ARGV[2])
local t = redis.call('TIME')
local left = ARGV[3] - (t[1] * 1000 + math.floor(t[2] / 1000))
if redis.call('PTTL', KEYS[1]) < left then
  redis.call('PEXPIREAT', KEYS[1], ARGV[3])
end
return {ARGV[1], 'ok'}
