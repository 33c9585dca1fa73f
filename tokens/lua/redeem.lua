-- Decides whether a token permits an operation now, and reserves a use.
-- KEYS record, reserved (hash nonce -> ms), charged (set of nonces), cancelled
-- ARGV call, operation, nonce ("" looks without reserving), ms after which the
--      reservation of a download lapses
-- Returns {call, status, operation, grant, expires, not-before, max uses}; all
-- after the status only if the token is known.
-- The same nonce gets the same answer however often it asks, so a replayed
-- command reserves one use.
local call, op, nonce, lapse = unpack(ARGV)
local r = redis.call('HMGET', KEYS[1], 'o', 'g', 'x', 'b', 'm', 'd', 'r', 'l', 'e')
if not r[1] then
  return {call, 'unknown'}
end
local function answer(status)
  return {call, status, r[1], r[2], r[3], r[4] or '', r[5], r[7] or '', r[8] or '', r[9] or ''}
end
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
if r[6] then
  return answer('revoked')
end
if now >= tonumber(r[3]) then
  return answer('expired')
end
if r[1] ~= op then
  return answer('operation')
end
if r[4] and now < tonumber(r[4]) then
  return answer('early')
end
local max = tonumber(r[5])
if max == 0 then
  return answer('ok')
end
if nonce ~= '' then
  if redis.call('EXISTS', KEYS[4]) == 1 then
    return answer('cancelled')
  end
  if redis.call('HEXISTS', KEYS[2], nonce) == 1 or redis.call('SISMEMBER', KEYS[3], nonce) == 1 then
    return answer('ok')
  end
end
local reserved = redis.call('HLEN', KEYS[2])
-- A download gives nothing out before it is charged, and is not charged once
-- its use has gone to somebody else. So a reservation whose gate has died may
-- go. An upload may be stored already: its reservation stays.
if op == 'g' and reserved > 0 and reserved <= 1000
    and reserved + redis.call('SCARD', KEYS[3]) >= max then
  local held = redis.call('HGETALL', KEYS[2])
  for i = 1, #held, 2 do
    if now - tonumber(held[i + 1]) > tonumber(lapse) then
      redis.call('HDEL', KEYS[2], held[i])
      reserved = reserved - 1
    end
  end
end
if reserved + redis.call('SCARD', KEYS[3]) >= max then
  if reserved > 0 then
    return answer('busy')
  end
  return answer('used')
end
if nonce ~= '' then
  redis.call('HSET', KEYS[2], nonce, string.format('%.0f', now))
  -- As long as the record, which may have lost its end in a restored dump: an
  -- expiry of -1 would delete what is counted here.
  local ttl = redis.call('PTTL', KEYS[1])
  if ttl >= 0 then
    redis.call('PEXPIRE', KEYS[2], math.max(ttl, 1))
  end
end
return answer('ok')
