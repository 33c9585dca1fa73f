-- Adds what one part of a log says about a finding.
--
-- KEYS: the finding, the index by the last request, the order in which findings are
-- forgotten, the IDs of those that were told and forgotten, those to be tried again.
-- ARGV: ID, finding as JSON, part, count, first and last in milliseconds, how
-- many findings are kept, for how many milliseconds, the prefix of their keys, how
-- many parts a finding remembers, its weight, what one weight more is in the order.
-- Answer: JSON, count, first, last, and "1" if it was told.
local key, index, order, buried, again = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local id, json, part = ARGV[1], ARGV[2], 'p:' .. ARGV[3]
local count, first, last = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local most, age, prefix, parts = tonumber(ARGV[7]), tonumber(ARGV[8]), ARGV[9], tonumber(ARGV[10])
local weight, step = tonumber(ARGV[11]), tonumber(ARGV[12])
local number = string.format

-- Whoever comes again after he was forgotten is not told again.
local function forget(ids)
  for _, old in ipairs(ids) do
    if redis.call('HGET', prefix .. old, 'told') == '1' then
      redis.call('ZADD', buried, redis.call('ZSCORE', order, old) or 0, old)
    end
    redis.call('DEL', prefix .. old)
    redis.call('ZREM', index, old)
    redis.call('ZREM', order, old)
    redis.call('ZREM', again, old)
  end
end

local known = redis.call('HMGET', key, 'json', 'count', 'first', 'last', 'told', part)
local told = known[5] or '0'
if known[1] then
  count = tonumber(known[2]) + count - tonumber(known[6] or 0)
  first = math.min(first, tonumber(known[3]))
  last = math.max(last, tonumber(known[4]))
  -- A link that many networks use has more of them each time.
  if #json < #known[1] then json = known[1] end
elseif redis.call('ZREM', buried, id) == 1 then
  told = '1'
end
redis.call('HSET', key, 'json', json, 'count', number('%d', count), 'first', number('%d', first), 'last', number('%d', last), 'told', told)
if known[6] or redis.call('HLEN', key) < parts then
  redis.call('HSET', key, part, ARGV[4])
end
redis.call('PEXPIRE', key, age)
redis.call('ZADD', index, number('%d', last), id)
redis.call('ZADD', order, number('%d', weight * step + last), id)

local now = redis.call('TIME')
local oldest = tonumber(now[1]) * 1000 - age
forget(redis.call('ZRANGEBYSCORE', index, '-inf', number('%d', oldest), 'LIMIT', 0, 100))
local excess = redis.call('ZCARD', order) - most
if excess > 0 then
  forget(redis.call('ZRANGE', order, 0, excess - 1))
end
-- Of those that are forgotten ten times as many IDs are kept.
redis.call('ZREMRANGEBYRANK', buried, 0, -10 * most - 1)
redis.call('PEXPIRE', buried, age)
return {json, number('%d', count), number('%d', first), number('%d', last), told}
