-- expire: give back what a session holds whose deadline has passed. It keeps its counters for a
-- while, so that a late report settles from where it stood.
--
-- KEYS  1 wallet   2 session   3 deadlines   4 journal          (all of one partition)
-- ARGV  1 {member (the session's address), keep_s}, a msgpack array
--       2 what is told of it (records.lua)
-- Returns 1 when the session was expired, 0 when it is not past its deadline or not open.
-- Keeps true
--         held = what open sessions hold; the list of deadlines names every open session.
local function expire(keys, args)
  if not call then begin() end
  local a = cmsgpack.unpack(args[1])
  local member, record = a[1], call('GET', keys[2])
  if record then
    wallet = read_wallet(call('GET', keys[1]))
    read_session(record)
  end
  if not record or not COUNTED[state] then
    call('ZREM', keys[3], member)
    return 0
  end
  local now_ms, deadline_ms = most(store_ms(), wallet[W_LAST_MS]), old_deadline_ms()
  if now_ms < deadline_ms then
    hint_ms = deadline_ms
    call('ZADD', keys[3], deadline_ms, member)
    call('SET', keys[2], session_bytes(deadline_ms, '', '', ''))
    return 0
  end
  for s = 1, #services do give_back(services[s]) end
  state, hint_ms = 'expired', 0
  wallet[W_OPEN], wallet[W_LAST_MS] = wallet[W_OPEN] - 1, now_ms
  local new_wallet, new_session_bytes = wallet_bytes(wallet), session_bytes(deadline_ms, '', '', '')
  call('XADD', keys[4], '*', 'e', entry_bytes(args[2], wallet, 'expired'))
  call('SET', keys[1], new_wallet)
  local keep_ms = remembered_ms(kept_s(wallet, a[2]) * 1000, now_ms)
  call('SET', keys[2], new_session_bytes, 'PX', keep_ms)
  call('ZREM', keys[3], member)
  return 1
end

redis.register_function('@LIBRARY@_expire', expire)
