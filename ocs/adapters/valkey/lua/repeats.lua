-- Requests that come twice, late, or in the wrong order. A session remembers which of the last 64
-- request numbers it has seen (top, and 64 bits from it downward in two words), the last 64 request
-- keys of clients without numbers, and the last 8 answers.
--
-- An answer is the id of its journal entry and a frame:
--
--   frame   B services, B late, i8 available, i8 held, i8 overrun; of each service
--           i8 granted, i8 validity, B final, i8 used, i8 settled now, i8 settled in all, B code,
--           H rating group, H rating, and those three texts; then what was asked: I text request,
--           I text fingerprint
--   kept    of each answer I its length; B text id, frame
--
-- The kept ones are one string, which is copied as a whole and taken apart only for a repeat.

-- Bit d of a word, and a word moved by d bits. Words are unsigned and below 2^32; the arithmetic is
-- exact, and a third of the price of the bit library.
local function bit_of(word, d)
  return floor(word / 2 ^ d) % 2 == 1
end

local function seen_number(n)
  local d = top - n
  if d < 0 then return false end
  if d >= WINDOW then return true end
  if d < 32 then return bit_of(low, d) end
  return bit_of(high, d - 32)
end

local function mark_number(n)
  local d = n - top
  if d <= 0 then
    if d > -32 then
      if not bit_of(low, -d) then low = low + 2 ^ -d end
    elseif not bit_of(high, -d - 32) then
      high = high + 2 ^ (-d - 32)
    end
    return
  end
  if top < 0 or d >= WINDOW then
    low, high = 0, 0
  elseif d >= 32 then
    low, high = 0, low % 2 ^ (64 - d) * 2 ^ (d - 32)
  else
    local stays, up = 2 ^ (32 - d), 2 ^ d
    local kept = low % stays
    low, high = kept * up, high % stays * up + (low - kept) / stays
  end
  top, low = n, low + 1
end

-- The parts of the session's origin: opened_ms, repeats, the start's request and fingerprint, and
-- the keys of seen requests.
local function parts_of_origin()
  local opened_ms, repeats, request, fingerprint, at = read('<ddIc0Ic0', origin)
  local keys = {}
  if at <= #origin then keys = cmsgpack.unpack(sub(origin, at)) end
  return opened_ms, repeats, request, fingerprint, keys
end

local function origin_of(opened_ms, repeats, asked, keys)
  local bytes = pack('<dd', opened_ms, repeats) .. asked
  if keys[1] then bytes = bytes .. cmsgpack.pack(keys) end
  return bytes
end

local function asked_by(request, fingerprint)
  return pack('<I', #request) .. request .. pack('<I', #fingerprint) .. fingerprint
end

local function seen(number, asked)
  if number >= 0 then return seen_number(number) end
  if origin == '' then return false end
  local request = read('<Ic0', asked)
  local _, _, _, _, keys = parts_of_origin()
  for _, key in ipairs(keys) do
    if key == request then return true end
  end
  return false
end

-- A request without a number is marked by its key.
local function mark_key(asked)
  local opened_ms, repeats, request, fingerprint, keys = parts_of_origin()
  local first = type(keys[1]) == 'number' and 2 or 1
  if #keys - first + 1 >= WINDOW then table.remove(keys, first) end
  keys[#keys + 1] = read('<Ic0', asked)
  origin = origin_of(opened_ms, repeats, asked_by(request, fingerprint), keys)
end

-- The session is to be remembered until then at the least.
local function remember_until(ms)
  local opened_ms, repeats, request, fingerprint, keys = parts_of_origin()
  if type(keys[1]) ~= 'number' then
    table.insert(keys, 1, ms)
  elseif keys[1] < ms then
    keys[1] = ms
  end
  origin = origin_of(opened_ms, repeats, asked_by(request, fingerprint), keys)
end

-- For how long a session that is over is remembered from now on, if it is `keep_ms` by itself.
local function remembered_ms(keep_ms, now_ms)
  if origin == '' then return keep_ms end
  local _, _, _, _, keys = parts_of_origin()
  if type(keys[1]) == 'number' then return most(keep_ms, keys[1] - now_ms) end
  return keep_ms
end

-- Tells the session's origin when it was opened, and what its start asked.
local function mark_origin(kind, asked, now_ms)
  if origin == '' then
    origin = origin_of(now_ms, 0, kind == 'start' and asked or asked_by('', ''), NOTHING)
  elseif kind == 'start' then
    local opened_ms, repeats, _, _, keys = parts_of_origin()
    origin = origin_of(opened_ms, repeats, asked, keys)
  end
end

local function count_repeat()
  local opened_ms, repeats, request, fingerprint, keys = parts_of_origin()
  origin = origin_of(opened_ms, repeats + 1, asked_by(request, fingerprint), keys)
end

-- Makes room for an answer to keep; the oldest goes when there are too many. A closed session keeps
-- only this one. Returns how it begins in the session's record; its id and its frame follow.
local function keep(id, frame)
  if state == 'closed' then
    kept_count, kept_at = 1, #session_text + 1
  elseif kept_count < RESULTS_KEPT then
    kept_count = kept_count + 1
  else
    local length, at = read('<I', session_text, kept_at)
    kept_at = at + length
  end
  return pack('<IB', 1 + #id + #frame, #id)
end

-- What was asked in the request that a frame answers: request and fingerprint.
local function asked_in(frame)
  local services, at = read('<B', frame)
  at = 27
  for _ = 1, services do
    local code, group, rating, after = read('<BHH', frame, at + 41)
    at = after + code + group + rating
  end
  return read('<Ic0Ic0', frame, at)
end

-- The kept answer to a request, or (request nil) the last one: id, frame, fingerprint.
local function kept(request)
  local at = kept_at
  for i = 1, kept_count do
    local length, id, start = read('<IBc0', session_text, at)
    local frame = sub(session_text, start, at + 3 + length)
    at = at + 4 + length
    local its_request, fingerprint = asked_in(frame)
    if its_request == request or (not request and i == kept_count) then
      return id, frame, fingerprint
    end
  end
end

-- The answer to a request that came before, or nil when it is new; and whether it is a repeat that
-- the session counts.
local function repeated(row, number, asked)
  local new = not seen(number, asked)
  if new and not row.repeats_start then return nil end
  local request, fingerprint = read('<Ic0Ic0', asked)
  if new then
    local _, _, start_request, start_fingerprint = parts_of_origin()
    if fingerprint ~= start_fingerprint then
      local id, frame = kept()
      return 'CONFLICT ' .. id .. ' ' .. frame, false
    end
    request = start_request
  end
  local id, frame, first = kept(request)
  if not frame then return 'REPEAT_EXPIRED', false end
  if first ~= fingerprint then return 'CONFLICT ' .. id .. ' ' .. frame, false end
  return 'HIT ' .. id .. ' ' .. frame, true
end
