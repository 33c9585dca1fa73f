-- Writes a token's record, once.
-- KEYS record
-- ARGV call, grant, operation, expires ms, not-before ms or "", max uses,
--      resume window ms, resume slack, "1" to cut at expiry or "", purge ms
-- Returns {call, "ok" | "exists"}; ok also when the same record is there
-- already, as for a command that the client has repeated.
local call, grant, op, expires, not_before, max, window, slack, cut, purge = unpack(ARGV)
local there = redis.call('HGET', KEYS[1], 'g')
if there == grant then
  redis.call('PEXPIREAT', KEYS[1], purge) -- so that replicas can acknowledge it
  return {call, 'ok'}
end
if there then
  return {call, 'exists'}
end
redis.call('HSET', KEYS[1], 'g', grant, 'o', op, 'x', expires, 'm', max)
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
