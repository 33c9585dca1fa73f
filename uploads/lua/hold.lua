-- Keeps hold of an upload, notes what has become of it, or lets go of it.
-- KEYS entry
-- ARGV call, fence, ms from now for which it is held; 0 lets go, ms from now
--      until which it may be gone on with, "" if that is not to change,
--      field, value...
-- Returns {call, status}: "ok"; "wanted" if somebody waits for it; "taken" if
-- somebody has it; "gone"
local call, fence, life, on = unpack(ARGV, 1, 4)
local e = redis.call('HMGET', KEYS[1], 'f', 'w')
if not e[1] then
  return {call, 'gone'}
end
if e[1] ~= fence then
  return {call, 'taken'}
end
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
redis.call('HSET', KEYS[1], 't', string.format('%.0f', now + life), unpack(ARGV, 5))
if on ~= '' then
  redis.call('HSET', KEYS[1], 'x', string.format('%.0f', now + on))
end
if life == '0' then
  redis.call('HDEL', KEYS[1], 'w')
elseif e[2] then
  return {call, 'wanted'}
end
return {call, 'ok'}
