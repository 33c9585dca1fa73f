-- Takes hold of a request that may come again, or says how it was answered.
-- KEYS request: a hash of salt s, secret k, hash of the body h, who answers it n,
--      until when f, and how it was answered a
-- ARGV call, nonce, salt of a request that is new, ms to keep it, ms that it may
--      take, then for each secret that is known, the one for new requests first,
--      its name and the hash of the body under it
-- Returns {call, "new" | "again", salt, secret}, {call, "done", salt, secret,
-- answer} or {call, "body" | "busy" | "secret"}; again means that somebody else
-- had begun.
-- The same nonce gets the same answer, so a replayed command reserves once.
local call, nonce, salt, window, time = unpack(ARGV)
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local over = string.format('%.0f', now + time)
local r = redis.call('HMGET', KEYS[1], 's', 'k', 'h', 'n', 'f', 'a', 'w')
if not r[1] then
  redis.call('HSET', KEYS[1], 's', salt, 'k', ARGV[6], 'h', ARGV[7], 'n', nonce, 'f', over)
  redis.call('PEXPIRE', KEYS[1], window)
  return {call, 'new', salt, ARGV[6]}
end
local hash
for i = 6, #ARGV, 2 do
  if ARGV[i] == r[2] then
    hash = ARGV[i + 1]
  end
end
if not hash then
  return {call, 'secret'}
end
if hash ~= r[3] then
  return {call, 'body'}
end
if r[6] then
  redis.call('HSET', KEYS[1], 'a', r[6]) -- so that replicas can acknowledge it
  return {call, 'done', r[1], r[2], r[6]}
end
if r[4] == nonce then
  redis.call('HSET', KEYS[1], 'n', nonce)
  return {call, r[7] and 'again' or 'new', r[1], r[2]}
end
if now < tonumber(r[5]) then
  return {call, 'busy'}
end
redis.call('HSET', KEYS[1], 'n', nonce, 'f', over, 'w', '1')
return {call, 'again', r[1], r[2]}
