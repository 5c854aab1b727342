-- expire: give back what a session holds whose deadline has passed. It keeps its counters for a
-- while, so that a late report settles from where it stood.
--
-- KEYS  1 wallet   2 session   3 deadlines   4 journal          (all of one partition)
-- ARGV  1 {member (the session's address), keep_s}, a msgpack array
-- Returns 1 when the session was expired, 0 when it is not past its deadline or not open.
-- Keeps true
--         held = what open sessions hold; the list of deadlines names every open session.
local function expire(keys, args)
  local a = cmsgpack.unpack(args[1])
  local member, record = a[1], redis.call('GET', keys[2])
  local session = record and cmsgpack.unpack(record) or new_session()
  if not COUNTED[session[S_STATE]] then
    redis.call('ZREM', keys[3], member)
    return 0
  end
  local wallet = cmsgpack.unpack(redis.call('GET', keys[1]))
  local was, now = before(wallet), most(store_ms(), wallet[W_LAST_MS])
  if now < session[S_DEADLINE_MS] then
    session[S_HINT_MS] = session[S_DEADLINE_MS]
    redis.call('ZADD', keys[3], session[S_DEADLINE_MS], member)
    redis.call('SET', keys[2], cmsgpack.pack(session))
    return 0
  end
  for s = S_SERVICES, #session do give_back(wallet, session[s]) end
  session[S_STATE], session[S_HINT_MS] = 'expired', 0
  wallet[W_OPEN], wallet[W_LAST_MS] = wallet[W_OPEN] - 1, now
  local new_wallet, moves = wallet_bytes(wallet), moves_of(wallet, was)
  redis.call('XADD', keys[4], '*', 'e', entry_bytes('expire', member, now, now, 'expired', '', moves))
  redis.call('SET', keys[1], new_wallet)
  redis.call('SET', keys[2], cmsgpack.pack(session), 'PX', a[2] * 1000)
  redis.call('ZREM', keys[3], member)
  return 1
end

redis.register_function('@LIBRARY@_expire', expire)
