#!lua flags=allow-oom
-- Notes what a gate has stopped by a rule, and reads what all have. A command
-- that the client has repeated is the same call, and counts once.
-- KEYS effect: a hash, "n <call>" -> transfers stopped, "c <transfer>" -> ""
-- ARGV call, transfers stopped, ms to remember it, ID of a transfer past stopping...
-- Returns {call, "ok", transfers stopped, ID...}
local call, stopped, memory = unpack(ARGV)
if tonumber(stopped) > 0 or #ARGV > 3 then
  redis.call('HSET', KEYS[1], 'n ' .. call, stopped)
  for i = 4, #ARGV do
    redis.call('HSET', KEYS[1], 'c ' .. ARGV[i], '')
  end
  redis.call('PEXPIRE', KEYS[1], memory)
end
local all = redis.call('HGETALL', KEYS[1])
local sum, answer = 0, {call, 'ok', ''}
for i = 1, #all, 2 do
  if string.sub(all[i], 1, 2) == 'n ' then
    sum = sum + all[i + 1]
  else
    answer[#answer + 1] = string.sub(all[i], 3)
  end
end
answer[3] = string.format('%.0f', sum)
return answer
