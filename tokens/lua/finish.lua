-- Keeps the answer to a request. The first one stays.
-- KEYS request
-- ARGV call, nonce, answer
-- Returns {call, "ok", the answer that counts} or {call, "gone"}
local call, nonce, answer = unpack(ARGV)
local r = redis.call('HMGET', KEYS[1], 's', 'a')
if not r[1] then
  return {call, 'gone'}
end
answer = r[2] or answer
redis.call('HSET', KEYS[1], 'a', answer)
return {call, 'ok', answer}
