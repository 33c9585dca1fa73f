-- Keeps the answer to a request. The first one stays.
-- KEYS request
-- ARGV call, salt, answer
-- Returns {call, "ok", the answer that counts} or {call, "gone"}: a request that
-- has another salt has other tokens, and comes later.
local call, salt, answer = unpack(ARGV)
local r = redis.call('HMGET', KEYS[1], 's', 'a')
if r[1] ~= salt then
  return {call, 'gone'}
end
answer = r[2] or answer
redis.call('HSET', KEYS[1], 'a', answer)
return {call, 'ok', answer}
