-- Reads the whole set of rules, and the place in the log where it stands.
-- KEYS rules, head
-- ARGV call
-- Returns {call, "ok", gen, seq, chain, rule ID, value...}
local h = redis.call('HMGET', KEYS[2], 'gen', 'seq', 'chain')
local answer = {ARGV[1], 'ok', h[1] or '0', h[2] or '0', h[3] or ''}
for _, v in ipairs(redis.call('HGETALL', KEYS[1])) do
  answer[#answer + 1] = v
end
return answer
