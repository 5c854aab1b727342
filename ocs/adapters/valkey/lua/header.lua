-- The ledger: every change of money is one of the functions of this library, and each is one
-- atomic step. Python decides who may pay, in which order and at which price, and sends that as
-- data; the functions move numbers and check what only the balance can tell.
--
-- Rules of the house, for every file that is joined into the library:
--   * Everything is computed and checked first and written last, one write a key: an error in Lua
--     does not roll back, so no error may come after the first write.
--   * All numbers are integers below 2^53, where doubles are exact. They are never joined to text
--     (`..` prints 14 digits) and never touched by HINCRBY or cjson.
--   * `math`, `string`, `bit` and `cmsgpack` do not exist while the library loads: they are used
--     inside functions only.
--   * Records are flat msgpack arrays, used as they are unpacked, with the names of their places in
--     records.lua. Tables with named fields read better and cost twice as much: building and
--     collecting tables is where the time of a charge goes (benchmarks/README.md).
local MAX_AMOUNT = 9007199254740991 -- 2^53 - 1
local MAX_DENOMINATOR = 67108864 -- 2^26: up to here floor(a / b) of doubles is exact (ladder.lua)
local RESULTS_KEPT = 8
local WINDOW = 64

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
