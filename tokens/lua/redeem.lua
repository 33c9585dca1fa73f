-- Decides whether a token permits an operation now, and reserves a use.
-- KEYS record, reserved (hash nonce -> ms, or "stays"), charged (set of nonces), cancelled,
--      open (sorted set of uses by the ms until which they may be resumed)
-- ARGV call, operation, nonce ("" looks without reserving), ms after which the
--      reservation lapses that does not stay, first byte asked for (negative counts
--      from the end), byte to end before (0 is the end), "1" if a part may
--      wait for a use that is about to be open, "" if not, "1" if the nonce is of
--      an upload that began in an earlier request, "" if not
-- Returns {call, status, operation, grant, expires, not-before, max uses, resume
-- window, resume slack, cut at expiry, version, now ms, bytes left, use, size, ETag,
-- version}; all after the status only if the token is known, and all after
-- the time only of an open use. With "ok" the request goes on with that use
-- and nothing is reserved for it; with "spent" no more is left of it than it says.
-- The same nonce gets the same answer however often it asks, so a replayed
-- command reserves one use.
local call, op, nonce, lapse, from, to, patient, begun = unpack(ARGV)
local r = redis.call('HMGET', KEYS[1], 'o', 'g', 'x', 'b', 'm', 'd', 'r', 'l', 'e',
  'g1', 'g2', 'g3', 'g4', 'g5', 'g6', 'g7', 'v')
if not r[1] then
  return {call, 'unknown'}
end
for i = 10, 16 do -- a grant stands in pieces
  r[2] = (r[2] or '') .. (r[i] or '')
end
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local function text(n)
  return string.format('%.0f', n)
end
local function answer(status, open)
  local a = {call, status, r[1], r[2], r[3], r[4] or '', r[5], r[7] or '', r[8] or '', r[9] or '', r[17] or '1', text(now)}
  for _, v in ipairs(open or {}) do
    a[#a + 1] = v
  end
  return a
end
if r[6] then
  return answer('revoked')
end
local expired = now >= tonumber(r[3])
-- What began in time goes on, unless the grant says otherwise.
local late = begun == '1' and op == 'p'
if expired and (r[9] or not r[7] and not late) then
  return answer('expired')
end
if r[1] ~= op then
  return answer(expired and 'expired' or 'operation')
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
  local held = redis.call('HGET', KEYS[2], nonce)
  if held then
    redis.call('HSET', KEYS[2], nonce, held) -- so that replicas can acknowledge it
  end
  if held or redis.call('SISMEMBER', KEYS[3], nonce) == 1 then
    return answer('ok')
  end
end

-- Which open use the request could go on with: the one of which it leaves
-- least, so that a short rest does not eat into a long one; failing that, for
-- a part, the one with most left. And whether any has something left.
from, to = tonumber(from), tonumber(to)
local whole = from == 0 and to == 0
local function length(size)
  if from < 0 then
    return math.min(-from, size)
  end
  if to > 0 then
    return math.min(to, size) - from
  end
  return size - from
end
local fit, most
if r[7] then
  for _, use in ipairs(redis.call('ZREVRANGEBYSCORE', KEYS[5], '+inf', '(' .. text(now), 'LIMIT', 0, 64)) do
    local o = redis.call('HMGET', KEYS[5] .. ':' .. use, 'b', 'n', 's', 'e', 'v')
    if o[1] then
      local left = o[1] - o[2]
      local open = {text(left), use, o[3], o[4], o[5]}
      if left > 0 and length(tonumber(o[3])) <= left and not (fit and tonumber(fit[1]) <= left) then
        fit = open
      end
      if left > 0 and not (most and tonumber(most[1]) >= left) then
        most = open
      end
    end
  end
end
local part = not whole and (fit or most)
if expired and not late then
  if fit or part then
    return answer('ok', fit or part)
  end
  if most then
    return answer('spent', {most[1]})
  end
  return answer('expired')
end
-- A part goes on with a copy that was begun. The whole is a new copy, as long
-- as there is one.
if part then
  return answer('ok', part)
end

local reserved = redis.call('HLEN', KEYS[2])
-- Parts that are asked for side by side belong together: all but the first
-- wait for it rather than take uses of their own.
if r[7] and not whole and reserved > 0 and patient == '1' then
  return answer('busy')
end
-- A download gives nothing out before it is charged, and is not charged once
-- its use has gone to somebody else. So a reservation whose gate has died may
-- go. So may that of an upload before anything was sent; after that it stays.
if reserved > 0 and reserved <= 1000
    and reserved + redis.call('SCARD', KEYS[3]) >= max then
  local held = redis.call('HGETALL', KEYS[2])
  for i = 1, #held, 2 do
    local since = tonumber(held[i + 1])
    if since and now - since > tonumber(lapse) then
      redis.call('HDEL', KEYS[2], held[i])
      reserved = reserved - 1
    end
  end
end
if reserved + redis.call('SCARD', KEYS[3]) >= max then
  if fit then
    return answer('ok', fit)
  end
  if reserved > 0 then
    return answer('busy')
  end
  if most then
    return answer('spent', {most[1]})
  end
  return answer('used')
end
if nonce ~= '' then
  redis.call('HSET', KEYS[2], nonce, text(now))
  -- As long as the record, which may have lost its end in a restored dump: an
  -- expiry of -1 would delete what is counted here.
  local ttl = redis.call('PTTL', KEYS[1])
  if ttl >= 0 then
    redis.call('PEXPIRE', KEYS[2], math.max(ttl, 1))
  end
end
return answer('ok')
