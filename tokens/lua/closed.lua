-- Reads a use whose window has closed.
-- KEYS record, reserved, open, open use
-- ARGV call, use
-- Returns {call, "gone"}, {call, "open", ms in which to look again}, or {call,
-- "closed", operation, grant, expires, not-before, max uses, resume window,
-- resume slack, cut at expiry, version, now ms, field, value, ...}, with the fields of
-- the use.
-- While a request runs the use is not closed, for a day at most: the gate of
-- the request may have died.
local call, use = unpack(ARGV)
local r = redis.call('HMGET', KEYS[1], 'o', 'g', 'x', 'b', 'm', 'r', 'l', 'e',
  'g1', 'g2', 'g3', 'g4', 'g5', 'g6', 'g7', 'v')
local o = redis.call('HGETALL', KEYS[4])
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
if not r[1] then
  return {call, 'gone'}
end
for i = 9, 15 do -- a grant stands in pieces
  r[2] = (r[2] or '') .. (r[i] or '')
end
if #o == 0 then
  -- Its gate announces a use before it charges it, and may be slow to.
  local held = redis.call('HGET', KEYS[2], use)
  if held and now < held + 600000 then
    return {call, 'open', '5000'}
  end
  return {call, 'gone'}
end
local begun, running = 0, false
for i = 1, #o, 2 do
  if o[i] == 'f' then
    begun = tonumber(o[i + 1])
  end
  running = running or (#o[i] > 1 and string.sub(o[i], 1, 1) == 'a')
end
local deadline = tonumber(redis.call('ZSCORE', KEYS[3], use) or '0')
if now <= deadline then
  return {call, 'open', string.format('%.0f', deadline - now + 1)}
end
if running and now < begun + 90000000 then
  return {call, 'open', '5000'}
end
local answer = {call, 'closed', r[1], r[2], r[3], r[4] or '', r[5], r[6] or '', r[7] or '', r[8] or '',
  r[16] or '1', string.format('%.0f', now)}
for _, v in ipairs(o) do
  answer[#answer + 1] = v
end
return answer
