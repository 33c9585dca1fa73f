#!lua flags=allow-oom
-- Answers a question.
-- KEYS answers
-- ARGV call, member, answer, ms to remember it
-- Returns {call, "ok"}
local call, member, answer, memory = unpack(ARGV)
redis.call('HSET', KEYS[1], member, answer)
redis.call('PEXPIRE', KEYS[1], memory)
return {call, 'ok'}
