-- What re-ratings have moved for uses that were charged online, so that a reversal can take it back,
-- and that a page which knows nothing of a reversal moves nothing. Of each wallet a hash:
--
--   <page> <seen>   of each use of that page: c8 digest of its session's address, c8 digest of its
--                   rating group, d d id of the entry that began it, d amount (charged; below zero
--                   given back). Seen is the last entry of the journal that the page knows of.
--   reversed        the id of the wallet's last reversal
--   forgotten       the last entry that a page knew of which was forgotten
--
-- What pages moved for each use may be much: a re-rating of a month has all calls of that month. So
-- with each page those are forgotten that knew of nothing within a day, itself included. Behind them
-- it is known that there were some: charges up to `forgotten` are not reversed any more. That, and
-- `reversed`, stay for ever: 100 bytes of a wallet, where they are at all.
local ADJUSTED_BYTES, KEY_BYTES = 40, 32
local ADJUSTED_KEEP_MS = 86400000

-- The two numbers of an entry's id.
local function parts_of_id(id)
  local ms, n = string.match(id, '^(%d+)%-(%d+)$')
  return tonumber(ms), tonumber(n)
end

local function is_before(ms, n, other_ms, other_n)
  return ms < other_ms or (ms == other_ms and n < other_n)
end

-- Whether something of the wallet was reversed behind the entry `seen`.
local function was_reversed_since(key, seen)
  local last = call('HGET', key, 'reversed')
  if not last then return false end
  local ms, n = parts_of_id(seen)
  return is_before(ms, n, parts_of_id(last))
end

-- Whether the entry is one of those that a page knew of which is forgotten.
local function was_forgotten(key, entry)
  local forgotten = call('HGET', key, 'forgotten')
  if not forgotten then return false end
  local ms, n = parts_of_id(forgotten)
  return not is_before(ms, n, parts_of_id(entry))
end

-- Forgets what pages moved that knew of nothing within a day before the entry `id`.
local function forget_pages(key, id)
  local old_ms = parts_of_id(id) - ADJUSTED_KEEP_MS
  for _, name in ipairs(call('HKEYS', key)) do
    local seen = string.match(name, ' (.*)$')
    if seen and parts_of_id(seen) < old_ms then
      if not was_forgotten(key, seen) then call('HSET', key, 'forgotten', seen) end
      call('HDEL', key, name)
    end
  end
end

-- Remembers what a page moves; `id` is the journal's, of the amount that it moves.
local function note_adjusted(key, page, seen, rows, id)
  local name = page .. ' ' .. seen
  local others = call('HGET', key, name) or '' -- of other accounts of the wallet
  call('HSET', key, name, others .. rows)
  forget_pages(key, id)
end

-- Adds up what pages have moved for the uses that a charge may be of: an event is known by its own
-- entry, a session by its address, if it had begun by then. Returns the sums by use, and the pages.
local function adjusted_by_use(key, entry, session)
  local sums, pages, ms, n = {}, {}, parts_of_id(entry)
  local flat = call('HGETALL', key)
  for i = 1, #flat, 2 do
    local rows = string.find(flat[i], ' ', 1, true) and flat[i + 1] or ''
    for at = 1, #rows, ADJUSTED_BYTES do
      local its_session, its_ms, its_n, amount = read('<c8xxxxxxxxddd', rows, at)
      local is_its_own = its_ms == ms and its_n == n
      if session and its_session == session and is_before(its_ms, its_n, ms, n) or is_its_own then
        local use = sub(rows, at, at + KEY_BYTES - 1)
        sums[use], pages[use] = (sums[use] or 0) + amount, flat[i]
      end
    end
  end
  return sums, pages
end

-- What is to go back of adjustments with an event (`session` is false); of a session it cannot be
-- told which part of them is a transaction's: returns the name of a page that still counts.
local function adjusted_with(key, entry, session)
  local sums, pages = adjusted_by_use(key, entry, session)
  local total = 0
  for use, amount in pairs(sums) do
    if session and amount ~= 0 then return 0, string.match(pages[use], '^%S+') end
    total = total + amount
  end
  return total
end
