-- Requests that come twice, late, or in the wrong order. A session remembers which of the last 64
-- request numbers it has seen (top, and 64 bits from it downward in two words), the last 64 request
-- keys of clients without numbers, and the last 8 answers.
--
-- An answer is a frame: {request, fingerprint, code, services, available, held, overrun, late,
-- ratings}, packed. The kept ones are one string: for each, the packed transaction id and length,
-- then the frame. So the string is copied as a whole, and taken apart only for a repeat.

local function seen_number(s, n)
  local d = s[S_TOP] - n
  if d < 0 then return false end
  if d >= WINDOW then return true end
  if d < 32 then return bit.band(s[S_LOW], bit.lshift(1, d)) ~= 0 end
  return bit.band(s[S_HIGH], bit.lshift(1, d - 32)) ~= 0
end

local function mark_number(s, n)
  local d = n - s[S_TOP]
  if d <= 0 then
    if d > -32 then
      s[S_LOW] = bit.bor(s[S_LOW], bit.lshift(1, -d))
    else
      s[S_HIGH] = bit.bor(s[S_HIGH], bit.lshift(1, -d - 32))
    end
    return
  end
  if s[S_TOP] < 0 or d >= WINDOW then
    s[S_LOW], s[S_HIGH] = 0, 0
  elseif d >= 32 then
    s[S_LOW], s[S_HIGH] = 0, bit.lshift(s[S_LOW], d - 32)
  else
    s[S_HIGH] = bit.bor(bit.lshift(s[S_HIGH], d), bit.rshift(s[S_LOW], 32 - d))
    s[S_LOW] = bit.lshift(s[S_LOW], d)
  end
  s[S_TOP], s[S_LOW] = n, bit.bor(s[S_LOW], 1)
end

local function seen(s, number, request)
  if number >= 0 then return seen_number(s, number) end
  for _, key in ipairs(s[S_KEYS] or {}) do
    if key == request then return true end
  end
  return false
end

local function mark_seen(s, number, request)
  if number >= 0 then return mark_number(s, number) end
  local keys = s[S_KEYS] or {}
  if #keys >= WINDOW then table.remove(keys, 1) end
  keys[#keys + 1] = request
  s[S_KEYS] = keys
end

-- Keeps an answer; the oldest goes when there are too many. A closed session keeps only this one.
local function keep(s, transaction, frame)
  local answer = cmsgpack.pack(transaction, #frame) .. frame
  if s[S_STATE] == 'closed' or s[S_KEPT] == 0 then
    s[S_RESULTS], s[S_KEPT] = answer, 1
    return
  end
  local results = s[S_RESULTS]
  if s[S_KEPT] >= RESULTS_KEPT then
    local at, length = cmsgpack.unpack_one(results)
    at, length = cmsgpack.unpack_one(results, at)
    results = string.sub(results, at + length + 1)
  else
    s[S_KEPT] = s[S_KEPT] + 1
  end
  s[S_RESULTS] = results .. answer
end

-- The kept answer to a request, or (request nil) the last one: transaction id, frame, fingerprint.
local function kept(s, request)
  local results, at = s[S_RESULTS], 0
  for i = 1, s[S_KEPT] do
    local transaction, length
    at, transaction = cmsgpack.unpack_one(results, at)
    at, length = cmsgpack.unpack_one(results, at)
    local frame = string.sub(results, at + 1, at + length)
    at = at + length
    local fields = cmsgpack.unpack(frame)
    if fields[1] == request or (not request and i == s[S_KEPT]) then
      return transaction, frame, fields[2]
    end
  end
end

-- The answer to a request that came before, or nil when it is new; and whether it is a repeat that
-- the session counts.
local function repeated(s, row, number, request, fingerprint)
  local expected = fingerprint
  if not seen(s, number, request) then
    if not row.repeats_start then return nil end
    if fingerprint ~= s[S_START_FINGERPRINT] then
      local transaction, frame = kept(s)
      return { 'CONFLICT', transaction, frame }, false
    end
    request = s[S_START_REQUEST]
  end
  local transaction, frame, first = kept(s, request)
  if not frame then return { 'REPEAT_EXPIRED' }, false end
  if first ~= expected then return { 'CONFLICT', transaction, frame }, false end
  return { 'HIT', transaction, frame }, true
end
