-- What ocs.lua needs of FreeSWITCH, with a clock that only sleeping moves. Prints what it was asked
-- to do, one line each.
--
--   lua stand_in.lua <scene.lua> <ocs.lua> <errand> [arguments]
--
-- The scene is a table: `answers` to be given one after the other (an empty one: none came),
-- `variables` of the leg, `lasts_s` after which the leg is gone, `waiting` releases, `sleeps` allowed.

local scene = dofile(arg[1])
local now_s, sleeps, answered = 1795166545.0, 0, 0

local function say(...)
    print(table.concat({...}, " "))
end

local function decoded(text)
    return (text:gsub("%%(%x%x)", function(digits) return string.char(tonumber(digits, 16)) end))
end

local function curl(arguments)
    local options, body = arguments:match("^(.-) post (.*)$")
    assert(options:find("content%-type application/json"), options)
    answered = answered + 1
    say("post", decoded(body))
    return scene.answers[answered] or ""
end

local COMMANDS = {
    strmicroepoch = function() return string.format("%d", math.floor(now_s * 1000000 + 0.5)) end,
    uuid_getvar = function(_, name) return scene.variables[name] or "_undef_" end,
    uuid_exists = function() return now_s < 1795166545.0 + scene.lasts_s and "true" or "false" end,
    uuid_kill = function(uuid, cause) say("kill", uuid, cause) return "+OK" end,
}

local Api = {}
Api.__index = Api
function Api:execute(command, arguments)
    assert(command == "curl", command)
    return curl(arguments)
end
function Api:executeString(text)
    local words = {}
    for word in text:gmatch("%S+") do
        words[#words + 1] = word
    end
    return COMMANDS[words[1]](words[2], words[3])
end

local Dbh = {}
Dbh.__index = Dbh
function Dbh:connected() return true end
function Dbh:release() end
function Dbh:query(sql, each)
    if sql:find("^SELECT") then
        for _, row in ipairs(scene.waiting) do
            each(row)
        end
    elseif sql:find("^DELETE") then
        local uuid = sql:match("'(.-)'")
        say("delete", uuid)
        for place, row in ipairs(scene.waiting) do
            if row.uuid == uuid then
                table.remove(scene.waiting, place)
            end
        end
    elseif sql:find("^INSERT") then
        say("keep", sql:match("VALUES %((.*)%)$"))
    end
end

freeswitch = {
    API = function() return setmetatable({}, Api) end,
    Dbh = function() return setmetatable({}, Dbh) end,
    consoleLog = function() end,
    msleep = function(ms)
        sleeps = sleeps + 1
        if sleeps > (scene.sleeps or 1000) then
            os.exit(0)
        end
        now_s = now_s + ms / 1000
    end,
}

session = { variables = scene.variables }
function session:getVariable(name) return self.variables[name] end
function session:setVariable(name, value)
    self.variables[name] = value
    if name:find("^api_") then
        say("set", name, value)
    end
end
function session:execute(application, data) say(application, data) end
function session:hangup(cause) say("hangup", cause) end

env = {}
function env:getHeader(name) return scene.variables[name] end

argv = { table.unpack(arg, 3) }
dofile(arg[2])
