#!lua flags=allow-oom
-- Lets go of a request that was not answered.
-- KEYS request
-- ARGV call, nonce, "forget" | "leave"
-- Returns {call, "ok"}
local call, nonce, how = unpack(ARGV)
local r = redis.call('HMGET', KEYS[1], 'n', 'a')
if r[1] == nonce and not r[2] then
  if how == 'forget' then
    redis.call('DEL', KEYS[1])
  else
    redis.call('HSET', KEYS[1], 'f', '0')
  end
end
return {call, 'ok'}
