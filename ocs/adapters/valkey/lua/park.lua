-- park: put aside an event that cannot be charged now, once for each session and request. The
-- streams `unrated` and `late` are rated offline.
--
-- KEYS  1 stream   2 request (remembers the id)                 (both of one partition)
-- ARGV  1 the entry, opaque   2 keep_s
-- Returns the id of the stream's entry.
-- Keeps true
--         one entry for each request within keep_s.
local function park(keys, args)
  local before = redis.call('GET', keys[2])
  if before then return before end
  local id = redis.call('XADD', keys[1], '*', 'e', args[1])
  redis.call('SET', keys[2], id, 'PX', tonumber(args[2]) * 1000)
  return id
end

redis.register_function('@LIBRARY@_park', park)
