#!lua flags=allow-oom
-- Adds what a gate has stopped by a rule, and reads what all have.
-- KEYS effect
-- ARGV call, transfers stopped, ms to remember it, ID of a transfer past stopping...
-- Returns {call, "ok", transfers stopped, ID...}
local call, stopped, memory = unpack(ARGV)
if tonumber(stopped) > 0 or #ARGV > 3 then
  redis.call('HINCRBY', KEYS[1], '', stopped)
  for i = 4, #ARGV do
    redis.call('HSET', KEYS[1], ARGV[i], '')
  end
  redis.call('PEXPIRE', KEYS[1], memory)
end
local answer = {call, 'ok', redis.call('HGET', KEYS[1], '') or '0'}
for _, id in ipairs(redis.call('HKEYS', KEYS[1])) do
  if id ~= '' then
    answer[#answer + 1] = id
  end
end
return answer
