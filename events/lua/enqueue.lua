-- Puts events into the queue of an endpoint, each once while it is there.
-- KEYS: queue, deliveries. ARGV: the most that may wait, then of each event its ID
-- and its JSON. Returns how many found the queue full.
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local full = 0
for i = 2, #ARGV, 2 do
  local id = ARGV[i]
  if redis.call('HEXISTS', KEYS[2], id) == 0 then
    if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[1]) then
      full = full + 1
    else
      redis.call('HSET', KEYS[2], id, ARGV[i + 1], id .. ':f', now)
      redis.call('ZADD', KEYS[1], now, id)
    end
  end
end
return full
