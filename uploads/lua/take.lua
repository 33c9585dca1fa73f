-- Takes an upload over, or waits for its holder to let go of it.
-- KEYS entry
-- ARGV call, ms for which it is held, ms for which the entry is kept at most,
--      who takes it, ms of grace: "" for a client, who asks the holder to let
--      go; else a sweeper, who asks nobody, and takes what nobody has held for
--      so long, or what may not be gone on with any more, "1" for a sweeper for
--      whom it does not matter that a client may go on, "" else
-- Returns {call, status, ...}: "gone"; "busy"; "later", ms until it may be
-- taken; else "ok" or, of an upload that is over, "done": now ms, field,
-- value... What is done is held by nobody, and only a sweeper takes it.
-- Each taking counts the fence up: what an earlier holder sends is refused. Who
-- repeats a taking has it.
local call, life, keep, who, grace, ended = unpack(ARGV)
local e = redis.call('HMGET', KEYS[1], 'f', 't', 's', 'x', 'o')
if not e[1] then
  return {call, 'gone'}
end
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local function text(n)
  return string.format('%.0f', n)
end
local held, over = tonumber(e[2]), e[3] == 'done' or e[3] == 'dropped'
if grace ~= '' then
  local due = held + grace
  if e[4] and ended == '' and (e[3] == 'uploading' or over) then
    due = math.max(held, tonumber(e[4]))
  end
  if now < due then
    return {call, 'later', text(due - now)}
  end
elseif not over and now < held and e[5] ~= who then
  redis.call('HSET', KEYS[1], 'w', 1)
  return {call, 'busy'}
end
if not over or grace ~= '' then
  redis.call('HSET', KEYS[1], 'f', e[1] + 1, 't', text(now + life), 'o', who)
  redis.call('HDEL', KEYS[1], 'w')
  -- A sweeper that cannot end it does not keep it for ever.
  if grace == '' then
    redis.call('PEXPIRE', KEYS[1], keep)
  end
end
local answer = {call, over and 'done' or 'ok', text(now), 'y', e[2]}
for _, v in ipairs(redis.call('HGETALL', KEYS[1])) do
  answer[#answer + 1] = v
end
return answer
