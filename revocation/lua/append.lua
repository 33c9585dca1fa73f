#!lua flags=allow-oom
-- Adds a rule to the revocation log, or a later version of one.
-- KEYS rules, head, log, members
-- ARGV call, rule ID, version, gen and seq of the rule ("" takes those of its
--      place in the log), rule, gen that the caller knows of, most entries of
--      the log, ms for which a new life of Redis is watched
-- Returns {call, "ok", gen, seq, chain of the head, gen and seq of the rule, now
-- ms, "1" in a new life of Redis, member, its renewal...}
-- A rule of this version or a later one changes nothing.
local call, id, version, gen, seq, rule, known, most, watch = unpack(ARGV)
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local function text(n)
  return string.format('%.0f', n)
end
local h = redis.call('HMGET', KEYS[2], 'gen', 'seq', 'chain', 'run', 'since')
local info = redis.pcall('INFO', 'server')
local run = type(info) == 'string' and string.match(info, 'run_id:(%w+)') or ''
local head = {gen = tonumber(h[1] or '0'), seq = tonumber(h[2] or '0'), chain = h[3] or ''}
if not h[1] or h[4] ~= run then
  -- Another server, or another life of this one: positions that it gives may
  -- have been given before, to entries that it has lost.
  head.gen = math.max(head.gen + 1, tonumber(known) + 1, now)
  h[5] = text(now)
  redis.call('HSET', KEYS[2], 'gen', text(head.gen), 'seq', text(head.seq), 'chain', head.chain,
    'run', run, 'since', h[5])
end
local there = redis.call('HGET', KEYS[1], id)
local rgen, rseq, rversion
if there then
  rgen, rseq, rversion = string.match(there, '^(%d+) (%d+) (%d+) ')
end
if not there or tonumber(rversion) < tonumber(version) then
  head.seq = head.seq + 1
  rgen, rseq = rgen or gen, rseq or seq
  if rgen == '' then
    rgen, rseq = text(head.gen), text(head.seq)
  end
  local value = rgen .. ' ' .. rseq .. ' ' .. version .. ' ' .. rule
  local chain = redis.sha1hex(head.chain .. id .. ' ' .. value)
  redis.call('HSET', KEYS[1], id, value)
  redis.call('HSET', KEYS[2], 'seq', text(head.seq), 'chain', chain)
  redis.call('XADD', KEYS[3], 'MAXLEN', '~', most, text(head.seq) .. '-0',
    'gen', text(head.gen), 'before', head.chain, 'chain', chain, 'id', id, 'value', value)
  head.chain = chain
else
  redis.call('HSET', KEYS[1], id, there) -- so that replicas can acknowledge it
end
local answer = {call, 'ok', text(head.gen), text(head.seq), head.chain, rgen, rseq, text(now),
  now - tonumber(h[5]) < tonumber(watch) and '1' or ''}
for _, v in ipairs(redis.call('HGETALL', KEYS[4])) do
  answer[#answer + 1] = v
end
return answer
