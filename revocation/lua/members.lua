#!lua flags=allow-oom
-- Reads the gates and how far each has come; or takes one off the list that has
-- not renewed its lease since it was seen.
-- KEYS head, members
-- ARGV call, member to take off or "", its renewal as it was seen
-- Returns {call, "ok", gen, seq, member, its renewal...}, or {call, "ok"} of one to
-- take off
local call, gone, renewal = unpack(ARGV)
if gone ~= '' then
  if redis.call('HGET', KEYS[2], gone) == renewal then
    redis.call('HDEL', KEYS[2], gone)
  end
  return {call, 'ok'}
end
local h = redis.call('HMGET', KEYS[1], 'gen', 'seq')
local answer = {call, 'ok', h[1] or '0', h[2] or '0'}
for _, v in ipairs(redis.call('HGETALL', KEYS[2])) do
  answer[#answer + 1] = v
end
return answer
