-- Enters an upload into the journal, held by whoever begins it.
-- KEYS entry (hash)
-- ARGV call, ms for which it is held, ms for which the entry is kept at most, ms
--      from now until which it may be gone on with, "" for one that may not,
--      field, value...
-- Returns {call, "ok", now ms}
-- Repeating it changes nothing.
local call, life, keep, on = unpack(ARGV, 1, 4)
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local began = redis.call('HGET', KEYS[1], 'c')
if began then
  redis.call('HSET', KEYS[1], 'c', began) -- so that replicas can acknowledge it
  return {call, 'ok', began}
end
redis.call('HSET', KEYS[1], 'f', 1, 'c', string.format('%.0f', now), 't', string.format('%.0f', now + life), unpack(ARGV, 5))
if on ~= '' then
  redis.call('HSET', KEYS[1], 'x', string.format('%.0f', now + on))
end
redis.call('PEXPIRE', KEYS[1], keep)
return {call, 'ok', string.format('%.0f', now)}
