-- The store's clock in milliseconds. Deadlines follow it; prices follow the time of use, which
-- the call carries. Tests put a clock of their own in the place of this file.
local function store_ms()
  local t = redis.call('TIME')
  return t[1] * 1000 + floor(t[2] / 1000)
end

-- The same from the id of a journal entry that was just written, which has it: a tenth of the cost.
local function ms_of(id)
  return sub(id, 1, 13) + 0
end
