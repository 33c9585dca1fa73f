-- Takes uses whose window may have closed off the list, for a while: who takes
-- them reports them, and when it dies another gate does.
-- KEYS index of open uses
-- ARGV call, most, ms until they are due again
-- Returns {call, "ok", member...}
local call, most, again = unpack(ARGV)
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now), 'LIMIT', 0, most)
local answer = {call, 'ok'}
for _, member in ipairs(due) do
  redis.call('ZADD', KEYS[1], string.format('%.0f', now + again), member)
  answer[#answer + 1] = member
end
return answer
