-- Takes deliveries that are due. Each is due again when it is not heard of for so
-- long, for another gate if this one dies; that it was tried counts at once.
-- KEYS: queue, deliveries, pause. ARGV: how long (ms), how many at most.
-- Returns how many wait, and of each its ID, its JSON, which try it is, and for how
-- long it has been waiting (ms).
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local out = { redis.call('ZCARD', KEYS[1]) }
if redis.call('EXISTS', KEYS[3]) == 1 then
  return out
end
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, ARGV[2])) do
  local event = redis.call('HGET', KEYS[2], id)
  if event then
    redis.call('ZADD', KEYS[1], now + ARGV[1], id)
    local try = redis.call('HINCRBY', KEYS[2], id .. ':n', 1)
    local first = tonumber(redis.call('HGET', KEYS[2], id .. ':f') or now)
    table.insert(out, { id, event, try, now - first })
  else
    redis.call('ZREM', KEYS[1], id)
  end
end
return out
