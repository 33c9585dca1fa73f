-- Notes what became of a try. It may come twice, and late.
-- KEYS: queue, deliveries, pause, the dead, what they were. ARGV: the event's ID,
-- "done", "again" or "dead"; when it is due again (ms from now); for how long the
-- endpoint is left alone (ms); the name of the dead one; what is to be said of it;
-- how many of the dead are kept.
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local id = ARGV[1]
if tonumber(ARGV[4]) > 0 then
  redis.call('SET', KEYS[3], now, 'PX', ARGV[4])
end
if ARGV[2] == 'again' then
  redis.call('ZADD', KEYS[1], 'XX', now + ARGV[3], id)
  return 0
end
local event = redis.call('HGET', KEYS[2], id)
redis.call('ZREM', KEYS[1], id)
redis.call('HDEL', KEYS[2], id, id .. ':n', id .. ':f')
if ARGV[2] ~= 'dead' or not event then
  return 0
end
redis.call('ZADD', KEYS[4], now, ARGV[5])
redis.call('HSET', KEYS[5], ARGV[5], event, ARGV[5] .. ':i', ARGV[6])
local forgotten = 0
while redis.call('ZCARD', KEYS[4]) > tonumber(ARGV[7]) do
  local oldest = redis.call('ZRANGE', KEYS[4], 0, 0)[1]
  redis.call('ZREM', KEYS[4], oldest)
  redis.call('HDEL', KEYS[5], oldest, oldest .. ':i')
  forgotten = forgotten + 1
end
return forgotten
