-- Charges a use that may be resumed, before the first byte of it is given out:
-- fixes the object that it is a copy of, and reserves the first bytes for one
-- request. A request that goes on with an open use must see the same object.
-- KEYS record, reserved, charged, cancelled, open, open use
-- ARGV call, nonce, use, size, ETag, version, bytes wanted, most requests of a
--      use, request, client
-- Returns {call, "ok", bytes that may be given out, now ms} or {call, "unknown" |
-- "revoked" | "cancelled" | "used" | "busy" | "changed"}; anything but ok means
-- that nothing may be given out, and busy that the use to go on with was handed
-- back meanwhile, so that it can be asked for again.
-- The open use is a hash: size s, ETag e, version v, budget b, begun f, first
-- request q, its client p, requests j, when the last of them ended t; bytes n,
-- that are the sum of those reserved for running requests (a<nonce>) and given
-- out in others (z<nonce>, as "first:bytes").
local call, nonce, use, size, etag, version, wanted, most, request, client = unpack(ARGV)
local r = redis.call('HMGET', KEYS[1], 'm', 'd', 'r', 'l')
if not r[1] then
  return {call, 'unknown'}
end
if r[2] then
  return {call, 'revoked'}
end
if redis.call('EXISTS', KEYS[4]) == 1 then
  return {call, 'cancelled'}
end
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local function text(n)
  return string.format('%.0f', n)
end
if use == nonce then
  -- As in charge.lua.
  if redis.call('SISMEMBER', KEYS[3], nonce) == 0 then
    local held, charged = redis.call('HDEL', KEYS[2], nonce), redis.call('SCARD', KEYS[3])
    if charged >= tonumber(r[1]) or held == 0 and redis.call('HLEN', KEYS[2]) + charged >= tonumber(r[1]) then
      return {call, 'used'}
    end
    redis.call('SADD', KEYS[3], nonce)
    local slack = math.min(tonumber(size), tonumber(r[4]))
    redis.call('HSET', KEYS[6], 's', size, 'e', etag, 'v', version, 'b', text(size + slack), 'n', 0,
      'f', text(now), 'q', request, 'p', client, 'j', 0)
  end
end
local o = redis.call('HMGET', KEYS[6], 's', 'e', 'v', 'b', 'n', 'f', 'j', 'a' .. nonce, 'z' .. nonce)
if not o[4] then
  return {call, redis.call('SISMEMBER', KEYS[3], use) == 1 and 'used' or 'busy'}
end
if o[1] ~= size or o[2] ~= etag or o[3] ~= version then
  return {call, 'changed'}
end
if o[9] then
  return {call, 'cancelled'}
end
local granted = o[8]
if not granted then
  granted = math.min(tonumber(wanted), o[4] - o[5])
  if tonumber(o[7]) >= tonumber(most) or granted < math.min(tonumber(wanted), 1) then
    return {call, 'used'}
  end
  granted = text(granted)
  redis.call('HSET', KEYS[6], 'a' .. nonce, granted)
  redis.call('HINCRBY', KEYS[6], 'n', granted)
  redis.call('HINCRBY', KEYS[6], 'j', 1)
end
-- An empty object leaves nothing to resume.
if tonumber(size) > 0 then
  redis.call('ZADD', KEYS[5], text(math.min(now + r[3], o[6] + 86400000)), use)
end
local ttl, days = redis.call('PTTL', KEYS[1]), 172800000
if ttl >= 0 then
  for _, key in ipairs({KEYS[3], KEYS[5]}) do
    redis.call('PEXPIRE', key, math.max(ttl, 1))
  end
  days = math.max(math.min(ttl, days), 1)
end
redis.call('PEXPIRE', KEYS[6], days)
return {call, 'ok', granted, text(now)}
