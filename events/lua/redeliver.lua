-- Takes a dead delivery up again, as if it had just been made.
-- KEYS: the dead, what they were, queue, deliveries, pause. ARGV: the name of the
-- dead one, the event's ID. Returns 0 if there is none.
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local event = redis.call('HGET', KEYS[2], ARGV[1])
if not event then
  return 0
end
redis.call('HSET', KEYS[4], ARGV[2], event, ARGV[2] .. ':n', 0, ARGV[2] .. ':f', now)
redis.call('ZADD', KEYS[3], now, ARGV[2])
redis.call('DEL', KEYS[5])
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('HDEL', KEYS[2], ARGV[1], ARGV[1] .. ':i')
return 1
