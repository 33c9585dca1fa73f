#!lua flags=allow-oom
-- Asks every gate a question.
-- KEYS questions, members
-- ARGV call, ID of the question, question, ms to remember it
-- Returns {call, "ok", member, its renewal...}
local call, id, question, memory = unpack(ARGV)
redis.call('HSET', KEYS[1], id, question)
redis.call('PEXPIRE', KEYS[1], memory)
local answer = {call, 'ok'}
for _, v in ipairs(redis.call('HGETALL', KEYS[2])) do
  answer[#answer + 1] = v
end
return answer
