-- Appends events to the stream, each once: a batch that comes again, because its
-- answer was lost, goes on after what has been appended of it.
-- KEYS: stream, producer. ARGV: the most that are kept, how long the producer is
-- remembered (ms), the number of the first event, and then each event's fields: its
-- JSON.
local known = tonumber(redis.call('GET', KEYS[2]) or '0')
local number = tonumber(ARGV[3])
for i = 4, #ARGV do
  if number > known then
    redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[1], '*', 'e', ARGV[i])
    known = number
  end
  number = number + 1
end
redis.call('SET', KEYS[2], known, 'PX', ARGV[2])
return known
