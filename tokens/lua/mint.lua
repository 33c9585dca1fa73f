-- Writes a token's record, once.
-- KEYS record
-- ARGV call, grant, operation, expires ms, not-before ms or "", max uses,
--      resume window ms, resume slack, "1" to cut at expiry or "", purge ms
-- Returns {call, "ok" | "exists"}; ok also when the same record is there
-- already, as for a command that the client has repeated.
-- Redis keeps a hash in one piece, which takes a third of the memory, while no
-- value has more than 64 bytes. So a grant stands in up to eight fields, unless
-- it is longer than that.
local call, grant, op, expires, not_before, max, window, slack, cut, purge = unpack(ARGV)
local function whole(r, first)
  local text = ''
  for i = first, first + 7 do
    text = text .. (r[i] or '')
  end
  return text
end
local pieces = {}
if #grant <= 512 then
  for i = 0, 7 do
    pieces[i + 1] = string.sub(grant, i * 64 + 1, i * 64 + 64)
  end
else
  pieces[1] = grant
end
local there = redis.call('HMGET', KEYS[1], 'g', 'g1', 'g2', 'g3', 'g4', 'g5', 'g6', 'g7')
if there[1] and whole(there, 1) == grant then
  redis.call('PEXPIREAT', KEYS[1], purge) -- so that replicas can acknowledge it
  return {call, 'ok'}
end
if there[1] then
  redis.call('HSET', KEYS[1], 'g', there[1]) -- the same
  return {call, 'exists'}
end
redis.call('HSET', KEYS[1], 'o', op, 'x', expires, 'm', max)
for i, piece in ipairs(pieces) do
  if piece ~= '' then
    redis.call('HSET', KEYS[1], i == 1 and 'g' or 'g' .. (i - 1), piece)
  end
end
if not_before ~= '' then
  redis.call('HSET', KEYS[1], 'b', not_before)
end
if tonumber(window) > 0 then
  redis.call('HSET', KEYS[1], 'r', window, 'l', slack)
end
if cut ~= '' then
  redis.call('HSET', KEYS[1], 'e', cut)
end
redis.call('PEXPIREAT', KEYS[1], purge)
return {call, 'ok'}
