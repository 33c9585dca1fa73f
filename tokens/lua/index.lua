-- Adds tokens to an index, and forgets those whose records are gone for good.
-- KEYS index
-- ARGV call, gone (members before it are forgotten), purge ms (when the last of
--      the new ones will be), member...
-- Returns {call, "ok"}
redis.call('ZREMRANGEBYLEX', KEYS[1], '-', '(' .. ARGV[2])
for i = 4, #ARGV do
  redis.call('ZADD', KEYS[1], 0, ARGV[i])
end
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local left = redis.call('PTTL', KEYS[1])
if left < 0 or now + left < tonumber(ARGV[3]) then
  redis.call('PEXPIREAT', KEYS[1], ARGV[3])
end
return {ARGV[1], 'ok'}
