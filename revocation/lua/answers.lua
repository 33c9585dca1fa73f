#!lua flags=allow-oom
-- Says who has answered a question; or reads the answers, and forgets both.
-- KEYS questions, answers
-- ARGV call, ID of the question, "1" to end it
-- Returns {call, "ok", member...} or {call, "ok", member, its answer...}
local call, id, over = unpack(ARGV)
local answer = {call, 'ok'}
for _, v in ipairs(redis.call(over == '1' and 'HGETALL' or 'HKEYS', KEYS[2])) do
  answer[#answer + 1] = v
end
if over == '1' then
  redis.call('HDEL', KEYS[1], id)
  redis.call('DEL', KEYS[2])
end
return answer
