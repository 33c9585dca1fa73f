-- Takes a place among the open tokens of one holder, for a while.
-- KEYS places
-- ARGV call, member, limit, how long the place is held ms
-- Returns {call, "ok" | "there" | "full", taken, ms when the first of them ends};
-- there means that the member had its place before.
local call, member, limit, hold = unpack(ARGV)
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
local taken = redis.call('ZCARD', KEYS[1])
local there = redis.call('ZSCORE', KEYS[1], member)
if not there then
  if taken >= tonumber(limit) then
    local first = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')
    return {call, 'full', taken, string.format('%.0f', tonumber(first[2] or now))}
  end
  taken = taken + 1
  redis.call('ZADD', KEYS[1], now + hold, member)
end
if redis.call('PTTL', KEYS[1]) < tonumber(hold) then
  redis.call('PEXPIRE', KEYS[1], hold)
end
return {call, there and 'there' or 'ok', taken, ''}
