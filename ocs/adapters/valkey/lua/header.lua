-- The ledger: every change of money is one of the functions of this library, and each is one
-- atomic step. Python decides who may pay, in which order and at which price, and sends that as
-- data; the functions move numbers and check what only the balance can tell.
--
-- Rules of the house, for every file that is joined into the library:
--   * Everything is computed and checked first and written last, one write a key: an error in Lua
--     does not roll back, so no error may come after the first write.
--   * All numbers are integers below 2^53, where doubles are exact. They are never joined to text
--     (`..` prints 14 digits) and never touched by HINCRBY or cjson.
--   * `math`, `string`, `struct` and `cmsgpack` do not exist while the library loads: they are used
--     inside functions only, and what is used often is found once, by `begin`.
--   * A name in capitals is a number, written into its places when the files are joined
--     (functions.py): Lua allows 200 locals, and reads a number faster than a local of the file.
--
-- What costs time here, in instructions of the processor: a call of a function 300, a new table 600
-- to 2,000, a field of a table 120 to read and 140 to write, a sum 40, a local nothing, one of the
-- file 5; a text 400 and 3 a byte, for it is hashed; a value of a record 155 to read with `struct`
-- and 250 to write, besides 540 for the call, and 13 a byte of text that is packed; a command of the
-- store 7,000 to 20,000. So records are fixed forms read by one call of `struct`, long texts are
-- joined, short arrays with named places stand for objects, what is in progress stands in locals of
-- the file, what many calls share is parsed once (`remember`), and the lines that every charge walks
-- call little.
local MAX_AMOUNT = 9007199254740991 -- 2^53 - 1
local FOREVER_MS = 9007199254740991 -- the end of a bucket that has none
local MAX_DENOMINATOR = 67108864 -- 2^26: up to here floor(a / b) of doubles is exact (ladder.lua)
local RESULTS_KEPT = 8
local WINDOW = 64
local PARSED_KEPT = 2000
local COSTS_KEPT = 200 -- of each ladder
local DAY_MS = 86400000
local CDR_DAYS = 45 -- how many days after it a use may be debited by its CDR
local CDR_KEPT_S = 4060800 -- 47 days: those, the day itself, and one for runs that are begun again

local call, pack, read, sub -- redis.call, struct.pack, struct.unpack, string.sub

-- To be called first by each function of the store.
local function begin()
  call, pack, read, sub = redis.call, struct.pack, struct.unpack, string.sub
end

local function floor(x)
  return x - x % 1
end

local function least(a, b)
  if a < b then return a end
  return b
end

local function most(a, b)
  if a > b then return a end
  return b
end

-- Empties a list behind its first `n`. Lists of the library that each call fills anew are cheaper
-- than new ones.
local function keep_first(list, n)
  for i = #list, n + 1, -1 do list[i] = nil end
end

-- What comes again and again and need not be parsed or computed again: {[0] = how many,
-- [key] = value}. A value is never changed, so it does not matter who put it there; a full cache is
-- emptied.
local function remember(cache, key, value, most_kept)
  if cache[0] >= most_kept then
    for known in pairs(cache) do cache[known] = nil end
    cache[0] = 0
  end
  cache[0], cache[key] = cache[0] + 1, value
  return value
end
