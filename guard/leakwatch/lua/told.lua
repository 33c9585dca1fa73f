-- Notes that a finding was told, and what was done about it.
--
-- KEYS: the finding, the IDs of those that were told and forgotten, those to be
-- tried again.
-- ARGV: ID, what was done as JSON, now and when to try again, in milliseconds, 0 if
-- never, for how many milliseconds findings are kept, and how many.
if redis.call('EXISTS', KEYS[1]) == 0 then
  -- It was forgotten meanwhile.
  redis.call('ZADD', KEYS[2], ARGV[3], ARGV[1])
  redis.call('ZREMRANGEBYRANK', KEYS[2], 0, -10 * tonumber(ARGV[6]) - 1)
  redis.call('PEXPIRE', KEYS[2], ARGV[5])
  redis.call('ZREM', KEYS[3], ARGV[1])
  return
end
redis.call('HSET', KEYS[1], 'told', '1', 'taken', ARGV[2])
if ARGV[4] == '0' then
  redis.call('ZREM', KEYS[3], ARGV[1])
  return
end
redis.call('ZADD', KEYS[3], ARGV[4], ARGV[1])
redis.call('ZREMRANGEBYRANK', KEYS[3], ARGV[6], -1)
redis.call('PEXPIRE', KEYS[3], ARGV[5])
