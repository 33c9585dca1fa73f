-- Takes one of a token's transfer slots, or keeps one that was taken.
-- KEYS slots (sorted set nonce -> ms at which the slot lapses)
-- ARGV call, nonce, most slots ("0" keeps the slot whatever the others do), ms
--      until it lapses
-- Returns {call, "ok" | "full"}
-- The same nonce has one slot however often it asks, so a replayed command
-- takes one.
local call, nonce, max, life = unpack(ARGV)
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now))
max = tonumber(max)
-- A transfer whose slot has lapsed still runs: it counts again, and keeps
-- others out, even if there are more than max now.
if max > 0 and not redis.call('ZSCORE', KEYS[1], nonce)
    and redis.call('ZCARD', KEYS[1]) >= max then
  return {call, 'full'}
end
redis.call('ZADD', KEYS[1], string.format('%.0f', now + tonumber(life)), nonce)
redis.call('PEXPIRE', KEYS[1], life)
return {call, 'ok'}
