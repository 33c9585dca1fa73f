-- Notes what a round has found.
-- KEYS finding (hash), claim
-- ARGV call, state, document, ms for which it is kept, ms until there is another
--      round, "" if that is not to change
-- Returns {call, "ok", the state before, "" if there was none}
-- Repeating it changes nothing.
local call, state, document, keep, again = unpack(ARGV)
local e = redis.call('HMGET', KEYS[1], 'call', 'state', 'before')
local before = e[2] or ''
if e[1] == call then
  before = e[3]
end
redis.call('HSET', KEYS[1], 'call', call, 'state', state, 'document', document, 'before', before)
redis.call('PEXPIRE', KEYS[1], keep)
if again ~= '' then
  redis.call('PEXPIRE', KEYS[2], again)
end
return {call, 'ok', before}
