-- What re-ratings have moved for uses that were charged online, so that a reversal can take it back,
-- and that a page which knows nothing of a reversal moves nothing. Of each wallet a hash:
--
--   <page> <seen>   of each use of that page: c8 digest of its session's address, c8 digest of its
--                   rating group, d d id of the entry that began it, d amount (charged; below zero
--                   given back). Seen is the last entry of the journal that the page knows of.
--   reversed        the id of the wallet's last reversal
--
-- A page is forgotten with the entries that it knows of: what the journal does not hold any more
-- cannot be reversed.
local ADJUSTED_BYTES, KEY_BYTES = 40, 32

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

-- Remembers what a page moves, and forgets pages of which the journal holds nothing any more.
local function note_adjusted(keys, page, seen, rows)
  local first_ms, first_n = parts_of_id(call('XRANGE', keys[3], '-', '+', 'COUNT', 1)[1][1])
  for _, name in ipairs(call('HKEYS', keys[4])) do
    local its_seen = string.match(name, ' (.*)$')
    if its_seen then
      local ms, n = parts_of_id(its_seen)
      if is_before(ms, n, first_ms, first_n) then call('HDEL', keys[4], name) end
    end
  end
  local name = page .. ' ' .. seen
  local others = call('HGET', keys[4], name) or '' -- of other accounts of the wallet
  call('HSET', keys[4], name, others .. rows)
end

-- Adds up what pages have moved for the uses that a charge may be of: an event is known by its own
-- entry, a session by its address, if it had begun by then. Returns the sums by use, and the pages.
local function adjusted_by_use(key, entry, session)
  local sums, pages, ms, n = {}, {}, parts_of_id(entry)
  local flat = call('HGETALL', key)
  for i = 1, #flat, 2 do
    local rows = flat[i] == 'reversed' and '' or flat[i + 1]
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
