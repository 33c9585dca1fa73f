-- Adds what one part of a log says about a finding.
--
-- KEYS: the finding, the index.
-- ARGV: ID, finding as JSON, part, count, first and last in milliseconds, how
-- many findings are kept, for how many milliseconds, the prefix of their keys, how
-- many parts a finding remembers.
-- Answer: JSON, count, first, last, and "1" if it was told.
local key, index = KEYS[1], KEYS[2]
local id, json, part = ARGV[1], ARGV[2], 'p:' .. ARGV[3]
local count, first, last = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local most, age, prefix, parts = tonumber(ARGV[7]), tonumber(ARGV[8]), ARGV[9], tonumber(ARGV[10])

local known = redis.call('HMGET', key, 'json', 'count', 'first', 'last', 'told', part)
local told = known[5] or '0'
if known[1] then
  count = tonumber(known[2]) + count - tonumber(known[6] or 0)
  first = math.min(first, tonumber(known[3]))
  last = math.max(last, tonumber(known[4]))
  -- A link that many networks use has more of them each time.
  if #json < #known[1] then json = known[1] end
end
local number = string.format
redis.call('HSET', key, 'json', json, 'count', number('%d', count), 'first', number('%d', first), 'last', number('%d', last))
if known[6] or redis.call('HLEN', key) < parts then
  redis.call('HSET', key, part, ARGV[4])
end
redis.call('PEXPIRE', key, age)
redis.call('ZADD', index, number('%d', last), id)

local now = redis.call('TIME')
redis.call('ZREMRANGEBYSCORE', index, '-inf', number('%d', tonumber(now[1]) * 1000 - age))
local excess = redis.call('ZCARD', index) - most
if excess > 0 then
  for _, old in ipairs(redis.call('ZRANGE', index, 0, excess - 1)) do
    redis.call('DEL', prefix .. old)
  end
  redis.call('ZREMRANGEBYRANK', index, 0, excess - 1)
end
return {json, number('%d', count), number('%d', first), number('%d', last), told}
