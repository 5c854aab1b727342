-- Requests that come twice, late, or in the wrong order. A session remembers which of the last 64
-- request numbers it has seen (top, and 64 bits below it in two words), the last 64 request keys
-- of clients without numbers, and the last 8 results.

local function seen_number(s, n)
  local d = s.top - n
  if d < 0 then return false end
  if d >= WINDOW then return true end
  if d < 32 then return bit.band(s.low, bit.lshift(1, d)) ~= 0 end
  return bit.band(s.high, bit.lshift(1, d - 32)) ~= 0
end

local function mark_number(s, n)
  local d = n - s.top
  if d <= 0 then
    if d > -32 then
      s.low = bit.bor(s.low, bit.lshift(1, -d))
    else
      s.high = bit.bor(s.high, bit.lshift(1, -d - 32))
    end
    return
  end
  if s.top < 0 or d >= WINDOW then
    s.low, s.high = 0, 0
  elseif d >= 32 then
    s.low, s.high = 0, bit.lshift(s.low, d - 32)
  else
    s.high = bit.bor(bit.lshift(s.high, d), bit.rshift(s.low, 32 - d))
    s.low = bit.lshift(s.low, d)
  end
  s.top, s.low = n, bit.bor(s.low, 1)
end

local function seen(s, call)
  if call.number >= 0 then return seen_number(s, call.number) end
  for _, key in ipairs(s.keys) do
    if key == call.request then return true end
  end
  return false
end

local function mark_seen(s, call)
  if call.number >= 0 then return mark_number(s, call.number) end
  if #s.keys >= WINDOW then table.remove(s.keys, 1) end
  s.keys[#s.keys + 1] = call.request
end

local function kept(s, request)
  local results = s.results
  for i = 1, #results, 2 do
    if results[i] == request then return cmsgpack.unpack(results[i + 1]) end
  end
end

-- Keeps a result; the oldest goes when there are too many. A closed session keeps only this one.
local function keep(s, call, result, ratings)
  local entry = { call.fingerprint, result, unpack(ratings) }
  local results, first = s.results, 1
  if s.state == 'closed' then
    s.results = { call.request, cmsgpack.pack(entry) }
    return
  end
  if #results >= 2 * RESULTS_KEPT then first = 3 end
  local rest = {}
  for i = first, #results do rest[#rest + 1] = results[i] end
  rest[#rest + 1], rest[#rest + 2] = call.request, cmsgpack.pack(entry)
  s.results = rest
end

-- {status, result, rating, …} from a kept entry {fingerprint, result, rating, …}
local function answer_kept(status, entry)
  if entry then entry[1] = status end
  return entry or { status }
end

-- The answer to a request that came before, or nil when it is new. Returns the answer and whether
-- the session counts a repeat.
local function repeated(s, call)
  if not seen(s, call) then
    if not (call.row.repeats_start) then return nil end
    if call.fingerprint == s.start_fingerprint then
      local entry = kept(s, s.start_request)
      if entry then return answer_kept('HIT', entry), true end
      return { 'REPEAT_EXPIRED' }, false
    end
    local last = s.results[#s.results]
    return answer_kept('CONFLICT', last and cmsgpack.unpack(last)), false
  end
  local entry = kept(s, call.request)
  if not entry then return { 'REPEAT_EXPIRED' }, false end
  if entry[1] ~= call.fingerprint then return answer_kept('CONFLICT', entry), false end
  return answer_kept('HIT', entry), true
end
