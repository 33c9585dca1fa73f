#!lua flags=allow-oom
-- Records how a request of a use that may be resumed has ended. Idempotent;
-- repeated until Redis has answered.
-- KEYS record, reserved, charged, cancelled, open, open use
-- ARGV call, nonce, use, first byte given out, bytes given out, "1" if headers or
--      bytes were given out, ms to remember the nonce, ms to keep the uses of
--      a record that is gone
-- Returns {call, "ok"}
local call, nonce, use, first, bytes, begun, memory, keep = unpack(ARGV)
redis.call('SET', KEYS[4], '', 'PX', memory)
redis.call('HDEL', KEYS[2], nonce)
local r = redis.call('HMGET', KEYS[1], 'm', 'r')
local o = redis.call('HMGET', KEYS[6], 'b', 'n', 'f', 'a' .. nonce, 'z' .. nonce, 's')
if begun == '1' then
  -- Also where Redis has lost the use in a failover: a copy was given out.
  redis.call('SADD', KEYS[3], use)
  local ttl = redis.call('PTTL', KEYS[1])
  if ttl == -2 then
    ttl = tonumber(keep)
  end
  if ttl >= 0 then
    redis.call('PEXPIRE', KEYS[3], math.max(ttl, 1))
  end
end
if not o[1] or o[5] then
  return {call, 'ok'}
end
redis.call('HDEL', KEYS[6], 'a' .. nonce)
redis.call('HINCRBY', KEYS[6], 'n', string.format('%.0f', bytes - tonumber(o[4] or '0')))
if begun == '1' then
  local t = redis.call('TIME')
  redis.call('HSET', KEYS[6], 'z' .. nonce, first .. ':' .. bytes,
    't', string.format('%.0f', t[1] * 1000 + math.floor(t[2] / 1000)))
else
  -- Handed back, if no request has given out anything and none is running.
  -- An empty body is given out by its headers.
  local busy = false
  for _, field in ipairs(redis.call('HKEYS', KEYS[6])) do
    local kind = string.sub(field, 1, 1)
    busy = busy or (#field > 1 and (kind == 'a' or kind == 'z'))
  end
  if not busy then
    redis.call('SREM', KEYS[3], use)
    redis.call('ZREM', KEYS[5], use)
    redis.call('DEL', KEYS[6])
    return {call, 'ok'}
  end
end
-- The window begins anew.
if r[2] and tonumber(o[6]) > 0 then
  local t = redis.call('TIME')
  local now = t[1] * 1000 + math.floor(t[2] / 1000)
  redis.call('ZADD', KEYS[5], string.format('%.0f', math.min(now + r[2], o[3] + 86400000)), use)
  local ttl = redis.call('PTTL', KEYS[1])
  if ttl >= 0 then
    redis.call('PEXPIRE', KEYS[5], math.max(ttl, 1))
  end
end
return {call, 'ok'}
