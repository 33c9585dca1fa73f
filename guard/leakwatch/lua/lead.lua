-- Takes or keeps the lead, or gives it up.
--
-- KEYS: the leader. ARGV: a name, for how many milliseconds; 0 gives it up.
-- Answer: 1 if the name leads now.
local leader = redis.call('GET', KEYS[1])
if leader and leader ~= ARGV[1] then return 0 end
if ARGV[2] == '0' then
  redis.call('DEL', KEYS[1])
  return 0
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
