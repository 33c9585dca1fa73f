#!lua flags=allow-oom
-- Forgets rules that nothing can live any more that they cover. They leave no
-- entry in the log: gates that still know them do no harm.
-- KEYS rules
-- ARGV call, rule ID...
-- Returns {call, "ok"}
for i = 2, #ARGV do
  redis.call('HDEL', KEYS[1], ARGV[i])
end
return {ARGV[1], 'ok'}
