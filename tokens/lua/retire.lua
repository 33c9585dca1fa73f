#!lua flags=allow-oom
-- Marks a token as revoked, in favour of another one, once.
-- KEYS record
-- ARGV call, version of the grant that the other one is made from, ID of the other
--      one, author, reason
-- Returns {call, "ok" | "unknown" | "revoked" | "expired" | "version"}
local call, version, successor, author, reason = unpack(ARGV)
local r = redis.call('HMGET', KEYS[1], 'x', 'd', 'i', 'v')
if not r[1] then
  return {call, 'unknown'}
end
if r[3] == successor then
  redis.call('HSET', KEYS[1], 'i', successor) -- so that replicas can acknowledge it
  return {call, 'ok'}
end
if r[2] then
  return {call, 'revoked'}
end
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
if now >= tonumber(r[1]) then
  return {call, 'expired'}
end
if (r[4] or '1') ~= version then
  return {call, 'version'}
end
redis.call('HSET', KEYS[1], 'd', string.format('%.0f', now), 'w', author, 'y', reason, 'i', successor)
return {call, 'ok'}
