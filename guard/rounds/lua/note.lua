-- Notes what a round has found.
-- KEYS finding (hash), claim
-- ARGV call, name of the finding, state, document, ms for which it is kept, ms
--      until there is another round
-- Returns {call, "ok", the state before, "" if there was none}
-- Repeating it with the same name changes nothing.
local call, name, state, document, keep, again = unpack(ARGV)
local e = redis.call('HMGET', KEYS[1], 'call', 'state', 'before')
local before = e[2] or ''
if e[1] == name then
  before = e[3]
end
redis.call('HSET', KEYS[1], 'call', name, 'state', state, 'document', document, 'before', before)
redis.call('PEXPIRE', KEYS[1], keep)
redis.call('SET', KEYS[2], name, 'PX', again)
return {call, 'ok', before}
