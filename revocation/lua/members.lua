-- Reads the gates and how far each has come.
-- KEYS head, members
-- ARGV call
-- Returns {call, "ok", gen, seq, member, its renewal...}
local h = redis.call('HMGET', KEYS[1], 'gen', 'seq')
local answer = {ARGV[1], 'ok', h[1] or '0', h[2] or '0'}
for _, v in ipairs(redis.call('HGETALL', KEYS[2])) do
  answer[#answer + 1] = v
end
return answer
