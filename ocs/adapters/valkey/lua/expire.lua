-- expire: give back what a session holds whose deadline has passed. It keeps its counters for a
-- while, so that a late report settles from where it stood.
--
-- KEYS  1 wallet   2 session   3 deadlines   4 journal          (all of one partition)
-- ARGV  1 {member (the session's address), partition label, keep_s}, a msgpack array
-- Returns 1 when the session was expired, 0 when it is not past its deadline or not open.
-- Keeps true
--         held = what open sessions hold; the list of deadlines names every open session.
local function expire(keys, args)
  local a = cmsgpack.unpack(args[1])
  local member = a[1]
  local session = read_session(redis.call('GET', keys[2]))
  if not COUNTED[session.state] then
    redis.call('ZREM', keys[3], member)
    return 0
  end
  local wallet = read_wallet(redis.call('GET', keys[1]))
  local now = most(store_ms(), wallet.last_ms)
  if now < session.deadline_ms then
    session.hint_ms = session.deadline_ms
    redis.call('ZADD', keys[3], session.deadline_ms, member)
    redis.call('SET', keys[2], session_bytes(session))
    return 0
  end
  local ctx = { wallet = wallet, now = now }
  for _, svc in ipairs(session.services) do give_back(ctx, svc) end
  session.state, session.hint_ms = 'expired', 0
  wallet.open, wallet.last_ms = wallet.open - 1, now
  local free, held = balance_of(ctx)
  local new_wallet = wallet_bytes(wallet)
  local entry = cmsgpack.pack({ 1, 'expire', member, '', '', now, now, 'OK', {}, moves_of(wallet),
    free, held, 0, false, 'expired', '' })
  redis.call('XADD', keys[4], '*', 'e', entry)
  redis.call('SET', keys[1], new_wallet)
  redis.call('SET', keys[2], session_bytes(session), 'PX', a[3] * 1000)
  redis.call('ZREM', keys[3], member)
  return 1
end

redis.register_function('@LIBRARY@_expire', expire)
