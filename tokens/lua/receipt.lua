-- Keeps the receipt of a use that has ended. Idempotent: that of an open use
-- takes its place, once.
-- KEYS record, receipts (sorted set by time), open, open use
-- ARGV call, use ("" if it was never open), ms at which it ended, receipt, most
--      receipts
-- Returns {call, "ok" | "unknown"}
local call, use, ended, receipt, most = unpack(ARGV)
if redis.call('EXISTS', KEYS[1]) == 0 then
  return {call, 'unknown'}
end
if use ~= '' then
  redis.call('ZREM', KEYS[3], use)
  if redis.call('DEL', KEYS[4]) == 0 then
    return {call, 'ok'}
  end
end
if redis.call('ZADD', KEYS[2], ended, receipt) == 1 then
  redis.call('HINCRBY', KEYS[1], 'n', 1)
  redis.call('ZREMRANGEBYRANK', KEYS[2], 0, -1 - most)
end
local ttl = redis.call('PTTL', KEYS[1])
if ttl >= 0 then
  redis.call('PEXPIRE', KEYS[2], math.max(ttl, 1))
end
return {call, 'ok'}
