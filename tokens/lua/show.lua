-- Reads everything that is known of a token.
-- KEYS record, reserved, charged, open, receipts
-- ARGV call, "1" to read open uses and receipts too
-- Returns {call, "unknown"} or {call, "ok", operation, grant, expires, not-before,
-- max uses, resume window, slack, cut at expiry, version, now ms, revoked
-- ms or "", author, reason, the token that was minted instead or "", reserved, charged, receipts that were kept ever, {{use, until ms,
-- begun ms, size, budget, bytes, requests that run}...}, {receipt...}}
local call, all = unpack(ARGV)
local r = redis.call('HMGET', KEYS[1], 'o', 'g', 'x', 'b', 'm', 'd', 'w', 'y', 'r', 'l', 'e', 'n',
  'g1', 'g2', 'g3', 'g4', 'g5', 'g6', 'g7', 'v', 'i')
if not r[1] then
  return {call, 'unknown'}
end
for i = 13, 19 do -- a grant stands in pieces
  r[2] = (r[2] or '') .. (r[i] or '')
end
local t = redis.call('TIME')
local now = string.format('%.0f', t[1] * 1000 + math.floor(t[2] / 1000))
local open, receipts = {}, {}
if all == '1' then
  for _, use in ipairs(redis.call('ZREVRANGEBYSCORE', KEYS[4], '+inf', '(' .. now, 'LIMIT', 0, 64)) do
    local key = KEYS[4] .. ':' .. use
    local o = redis.call('HMGET', key, 'f', 's', 'b', 'n')
    if o[1] then
      local running = 0
      for _, field in ipairs(redis.call('HKEYS', key)) do
        if #field > 1 and string.sub(field, 1, 1) == 'a' then
          running = running + 1
        end
      end
      open[#open + 1] = {use, redis.call('ZSCORE', KEYS[4], use), o[1], o[2], o[3], o[4], running}
    end
  end
  receipts = redis.call('ZREVRANGE', KEYS[5], 0, -1)
end
return {call, 'ok', r[1], r[2], r[3], r[4] or '', r[5], r[9] or '', r[10] or '', r[11] or '',
  r[20] or '1', now, r[6] or '', r[7] or '', r[8] or '', r[21] or '',
  redis.call('HLEN', KEYS[2]), redis.call('SCARD', KEYS[3]), r[12] or '0', open, receipts}
