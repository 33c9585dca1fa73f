-- A list of what somebody has to look at, by the time when it is due.
-- KEYS sorted set
-- ARGV call, "add", ms from now, member
--      call, "due", ms until what is taken is due again, most
-- Returns {call, "ok", member...}, the members for "due" only: who takes them
-- looks at them, and when it dies another does.
local call, what, ms, arg = unpack(ARGV)
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local at = string.format('%.0f', now + ms)
local answer = {call, 'ok'}
if what == 'add' then
  redis.call('ZADD', KEYS[1], at, arg)
  return answer
end
local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now), 'LIMIT', 0, arg)
for _, member in ipairs(due) do
  redis.call('ZADD', KEYS[1], at, member)
  answer[#answer + 1] = member
end
return answer
