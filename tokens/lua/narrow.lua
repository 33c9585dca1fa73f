#!lua flags=allow-oom
-- Replaces a grant by one that permits less.
-- KEYS record
-- ARGV call, version that is there, version that comes, grant, expires ms, max
--      uses, purge ms
-- Returns {call, "ok" | "unknown" | "revoked" | "expired" | "version"}; ok also
-- when that is there already, as for a command that the client has repeated.
local call, from, to, grant, expires, max, purge = unpack(ARGV)
local r = redis.call('HMGET', KEYS[1], 'g', 'x', 'm', 'd', 'v', 'g1', 'g2', 'g3', 'g4', 'g5', 'g6', 'g7')
if not r[1] then
  return {call, 'unknown'}
end
for i = 6, 12 do -- a grant stands in pieces, see mint.lua
  r[1] = r[1] .. (r[i] or '')
end
local version = r[5] or '1'
if version == to and r[1] == grant and r[2] == expires and r[3] == max then
  redis.call('HSET', KEYS[1], 'v', to) -- so that replicas can acknowledge it
  return {call, 'ok'}
end
if version ~= from then
  return {call, 'version'}
end
if r[4] then
  return {call, 'revoked'}
end
local t = redis.call('TIME')
if t[1] * 1000 + math.floor(t[2] / 1000) >= tonumber(r[2]) then
  return {call, 'expired'}
end
-- Nothing makes a grant wider, whatever the caller has computed.
if tonumber(expires) > tonumber(r[2])
    or tonumber(r[3]) > 0 and (tonumber(max) == 0 or tonumber(max) > tonumber(r[3])) then
  return {call, 'version'}
end
redis.call('HSET', KEYS[1], 'g', #grant <= 512 and string.sub(grant, 1, 64) or grant, 'x', expires, 'm', max, 'v', to)
for i = 1, 7 do
  local piece = #grant <= 512 and string.sub(grant, i * 64 + 1, i * 64 + 64) or ''
  if piece ~= '' then
    redis.call('HSET', KEYS[1], 'g' .. i, piece)
  else
    redis.call('HDEL', KEYS[1], 'g' .. i)
  end
end
redis.call('PEXPIREAT', KEYS[1], purge)
return {call, 'ok'}
