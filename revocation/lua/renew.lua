#!lua flags=allow-oom
-- Renews the lease of a gate, and acknowledges what it has applied.
-- KEYS head, log, members, questions
-- ARGV call, member, its name, seq and chain of what it has applied, most
--      entries to return, ms for which a new life of Redis is watched, gen
--      that it knows of, ms of the longest life that it may permit a token
-- Returns {call, "off"} for a position that is not on the chain: load everything;
-- or {call, "ok" | "settling", gen, seq, chain of the head, now ms, ms of the
-- longest life that any gate may have permitted, number of questions, ID, question..., entry...}, where an entry is seq, gen, chain, rule ID,
-- value. With "settling" there is no lease yet:
-- gates get time to give Redis back what it has lost.
local call, member, name, seq, chain, most, watch, known, life = unpack(ARGV)
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local function text(n)
  return string.format('%.0f', n)
end
local h = redis.call('HMGET', KEYS[1], 'gen', 'seq', 'chain', 'run', 'since', 'life')
local info = redis.pcall('INFO', 'server')
local run = type(info) == 'string' and string.match(info, 'run_id:(%w+)') or ''
if not h[1] or h[4] ~= run then
  h[1] = text(math.max(tonumber(h[1] or '0') + 1, tonumber(known) + 1, now))
  h[2], h[3], h[5] = h[2] or '0', h[3] or '', text(now)
  redis.call('HSET', KEYS[1], 'gen', h[1], 'seq', h[2], 'chain', h[3], 'run', run, 'since', h[5])
end
if tonumber(life) > tonumber(h[6] or '0') then
  h[6] = life
  redis.call('HSET', KEYS[1], 'life', life)
end
local at = tonumber(seq)
local entries = {}
if at == tonumber(h[2]) then
  if chain ~= h[3] then
    return {call, 'off'}
  end
elseif at > tonumber(h[2]) then
  return {call, 'off'}
else
  entries = redis.call('XRANGE', KEYS[2], text(at + 1) .. '-0', '+', 'COUNT', most)
  local first = entries[1]
  if not first or first[1] ~= text(at + 1) .. '-0' or first[2][4] ~= chain then
    return {call, 'off'}
  end
end
local count = string.match(redis.call('HGET', KEYS[3], member) or '0', '^%d+')
redis.call('HSET', KEYS[3], member, text(count + 1) .. ' ' .. h[1] .. ' ' .. seq .. ' ' .. name)
local questions = redis.call('HGETALL', KEYS[4])
local answer = {call, now - tonumber(h[5]) < tonumber(watch) and 'settling' or 'ok', h[1], h[2], h[3], text(now),
  h[6] or '0', #questions / 2}
for _, v in ipairs(questions) do
  answer[#answer + 1] = v
end
for _, e in ipairs(entries) do
  answer[#answer + 1] = string.match(e[1], '^%d+')
  for _, i in ipairs({2, 6, 8, 10}) do
    answer[#answer + 1] = e[2][i]
  end
end
return answer
