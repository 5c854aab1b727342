-- Prepaid and postpaid calls: FreeSWITCH asks `ocs` before a call, while it lasts, and at its end.
--
-- Put this file into the folder of scripts, and go through it before the bridge, as dialplan.xml
-- beside it does:
--
--   <action application="lua" data="ocs.lua start"/>
--
-- It needs mod_lua and mod_curl of FreeSWITCH 1.10. docs/clients/freeswitch.md tells what callers
-- notice, and what has been run.
--
-- How it works. One script, four errands:
--
--   start     in the dialplan, on the caller's leg: asks, and refuses the call or lets it go on
--   watch     a thread of its own from the answer on: sleeps, asks for more, and kills the call
--             when it may not go on
--   release   when the leg is over (api_hangup_hook): tells the whole use
--   resend    a thread from the start of FreeSWITCH on: sends releases again that had no answer
--
-- Each request tells all that was used since the answer, never a difference: an update that got lost
-- or comes late changes nothing, and the release says how much it was. A release without an answer is
-- kept in a database of FreeSWITCH's own (SQLite, outlives a restart) until there is one.
--
-- Rejected: sched_hangup for the end of a grant (what was scheduled cannot be taken back, so the first
-- grant would end the call); SESSION_HEARTBEAT events (they say nothing of the duration, and a hook
-- that waits for an answer holds up the delivery of all events); mod_json_cdr for the release (it can
-- show no bearer token, and gives up after a fixed number of tries).

-- --- Settings -----------------------------------------------------------------------------------

-- Where `ocs` is. The source tells it the words of the requests; keep it.
local OCS_URL = "http://127.0.0.1:8080/realtime?source=freeswitch"

-- Options of mod_curl: seconds for a connection and for a whole request; the second more than
-- charging.time_limit_ms of `ocs`, which answers by then. With a credential also
--   append_headers 'Authorization:Bearer ...'
local OCS_CURL_OPTIONS = "connect-timeout 1 timeout 3"

-- Seconds before the end of a grant at which more is asked for; of a short grant half is used first.
local OCS_ASK_BEFORE_S = 5

-- Seconds that a call goes on beyond its grant while no answer comes. Your risk for each call.
local OCS_GO_ON_S = 60

-- Seconds until a request without an answer is sent again.
local OCS_RETRY_S = 2

-- What becomes of a new call when no answer comes. false: it is refused with 503. true: it goes on
-- unasked, and is killed after OCS_GO_ON_S unless a grant comes by then; its use is reported all the same.
local OCS_FAIL_OPEN = false

-- --- In all errands -----------------------------------------------------------------------------

local api = freeswitch.API()

-- A release has a number that no update comes to, as the watch may be counting still.
local LAST_NUMBER = 1000000

-- Of these nothing was decided: they are sent again.
local UNDECIDED = {
    TOO_BUSY = true, OUTCOME_UNKNOWN = true, RATING_FAILED = true,
    UNAUTHORIZED = true, FORBIDDEN = true,
}

local function now_s()
    return tonumber(api:executeString("strmicroepoch")) / 1000000
end

local function note(level, text)
    freeswitch.consoleLog(level, text .. "\n")
end

local function percent(text)
    return (text:gsub("[^%w]", function(character)
        return string.format("%%%02X", character:byte())
    end))
end

-- A flat table as JSON, in the order of its names, so that the same request is the same text.
local function json(fields)
    local names, parts = {}, {}
    for name in pairs(fields) do
        names[#names + 1] = name
    end
    table.sort(names)
    for _, name in ipairs(names) do
        local text = tostring(fields[name]):gsub('[%c"\\]', function(character)
            return string.format("\\u%04x", character:byte())
        end)
        parts[#parts + 1] = '"' .. name .. '":"' .. text .. '"'
    end
    return "{" .. table.concat(parts, ",") .. "}"
end

-- What the answer says; nil where nothing was decided. mod_curl takes percent signs out of what it is
-- to post, so all of it is put in.
local function post(body)
    local command = OCS_URL .. " content-type application/json " .. OCS_CURL_OPTIONS
    local lines = api:execute("curl", command .. " post " .. percent(body)) or ""
    local answer = {}
    for name, value in lines:gmatch("([%w_]+)=([^\r\n]*)") do
        answer[name] = value
    end
    local outcome = answer.return_name
    if not outcome or UNDECIDED[outcome] then
        note("warning", "ocs-no-answer: " .. body .. " " .. (outcome or ""))
        return nil
    end
    note("notice", "ocs-answer: " .. body .. " " .. outcome)
    answer.granted = tonumber(answer.granted_units) or 0
    answer.validity = tonumber(answer.validity_time) or 0
    answer.threshold = tonumber(answer.quota_threshold) or 0
    answer.final = answer.final_unit == "true"
    return answer
end

-- What all requests of a call say. Fields that are empty are left out.
local function request(kind, number, call, used_s)
    local fields = {
        record_type = kind, request_number = number, ["Unique-ID"] = call.uuid,
        accountcode = call.payer, ["Caller-Caller-ID-Number"] = call.caller,
        ["Caller-Destination-Number"] = call.called,
        event_time = string.format("%.3f", now_s()),
    }
    if call.answered_s and call.answered_s > 0 then
        fields.answer_time = string.format("%.6f", call.answered_s)
        fields.answered = "true"
    end
    if used_s then
        fields.billmsec = math.max(0, math.floor(used_s * 1000 + 0.5))
    end
    return json(fields)
end

-- --- Releases without an answer -------------------------------------------------------------------

local function queue()
    local database = freeswitch.Dbh("sqlite://ocs_releases")
    assert(database:connected(), "ocs: the database of releases cannot be opened")
    database:query("CREATE TABLE IF NOT EXISTS releases (uuid VARCHAR(255) PRIMARY KEY, body TEXT)")
    return database
end

local function quoted(text)
    return "'" .. text:gsub("'", "''") .. "'"
end

local function release(call, used_s)
    local body = request("release_request", LAST_NUMBER, call, used_s)
    if post(body) then
        return
    end
    local database = queue()
    database:query("INSERT OR REPLACE INTO releases VALUES (" ..
        quoted(call.uuid) .. "," .. quoted(body) .. ")")
    database:release()
end

local function resend()
    while true do
        freeswitch.msleep(OCS_RETRY_S * 1000)
        local waiting = {}
        local database = queue()
        database:query("SELECT uuid, body FROM releases LIMIT 100", function(row)
            waiting[#waiting + 1] = row
        end)
        for _, row in ipairs(waiting) do
            if not post(row.body) then
                break
            end
            database:query("DELETE FROM releases WHERE uuid = " .. quoted(row.uuid))
        end
        database:release()
    end
end

-- --- On the caller's leg ---------------------------------------------------------------------------

local function call_of(get)
    return {
        uuid = get("uuid"), payer = get("ocs_payer"), caller = get("ocs_caller"),
        called = get("ocs_called"),
    }
end

-- Who pays: the variable ocs_payer, which the dialplan may set; else the account code of the phone's
-- user; else the caller's number: only for callers whose number somebody has looked at already.
local function note_who_calls_whom()
    local payer = session:getVariable("ocs_payer") or session:getVariable("accountcode")
    local caller = session:getVariable("caller_id_number") or ""
    if not payer or payer == "" then
        payer = caller
    end
    session:setVariable("ocs_payer", payer)
    session:setVariable("ocs_caller", caller)
    if not session:getVariable("ocs_called") then
        session:setVariable("ocs_called", session:getVariable("destination_number"))
    end
end

local function refuse(response)
    session:execute("respond", response)
    -- What is no SIP leg takes no response.
    session:hangup("CALL_REJECTED")
end

local function start()
    note_who_calls_whom()
    local call = call_of(function(name) return session:getVariable(name) end)
    local answer = post(request("start_request", 0, call))
    if not answer then
        if not OCS_FAIL_OPEN then
            -- Something may be held all the same: a release gives it back.
            release(call, 0)
            refuse("503 Charging Unavailable")
            return
        end
        answer = { granted = 0, validity = 0, threshold = 0, final = false }
    elseif answer.granted == 0 then
        refuse(answer.sip_code .. " Call Refused")
        return
    end
    -- Expanded when they are carried out.
    session:setVariable("api_hangup_hook", "lua ocs.lua release")
    session:setVariable("api_on_answer", string.format("luarun ocs.lua watch %s %d %d %d %s",
        call.uuid, answer.granted, answer.validity, answer.threshold, tostring(answer.final)))
end

local function ended()
    local function get(name)
        return env:getHeader(name) or env:getHeader("variable_" .. name)
    end
    local call = call_of(get)
    call.answered_s = (tonumber(get("answer_uepoch")) or 0) / 1000000
    release(call, (tonumber(get("billmsec")) or 0) / 1000)
end

-- --- The watch -------------------------------------------------------------------------------------

-- When to report and when to kill, in seconds after the answer.
local function plan(told_s, answer)
    local span, whole = answer.granted, true
    if answer.validity > 0 and answer.validity < span then
        -- Come back even though there will be no more: something may have changed by then.
        span, whole = answer.validity, false
    end
    local use = math.max(span - math.max(OCS_ASK_BEFORE_S, answer.threshold), span / 2)
    local cut_s = told_s + answer.granted
    if not answer.final then
        return told_s + use, cut_s + OCS_GO_ON_S
    end
    return whole and cut_s or told_s + use, cut_s
end

local function watch(uuid, answer)
    local function get(name)
        local value = api:executeString("uuid_getvar " .. uuid .. " " .. name)
        return value ~= "_undef_" and value or nil
    end
    local function up()
        return api:executeString("uuid_exists " .. uuid) == "true"
    end
    local call, number, told_s, unanswered = call_of(get), 0, 0, nil
    call.uuid, call.answered_s = uuid, now_s()
    local report_s, cut_s = plan(told_s, answer)
    local next_s = report_s
    while true do
        local sleep_s = call.answered_s + math.min(next_s, cut_s) - now_s()
        freeswitch.msleep(math.max(1, math.floor(sleep_s * 1000)))
        if not up() then
            return
        end
        local used_s = now_s() - call.answered_s
        if used_s >= cut_s then
            break
        end
        if used_s >= next_s then
            -- What has no answer yet goes out as it was.
            if not unanswered then
                number = number + 1
                unanswered = { body = request("update_request", number, call, used_s), used_s = used_s }
            end
            answer = post(unanswered.body)
            if not answer then
                next_s = now_s() - call.answered_s + OCS_RETRY_S
            elseif answer.granted == 0 then
                break
            else
                told_s, unanswered = unanswered.used_s, nil
                next_s, cut_s = plan(told_s, answer)
            end
        end
    end
    api:executeString("uuid_kill " .. uuid .. " ALLOTTED_TIMEOUT")
end

-- --- Which errand ------------------------------------------------------------------------------------

if argv[1] == "start" then
    start()
elseif argv[1] == "release" then
    ended()
elseif argv[1] == "resend" then
    resend()
elseif argv[1] == "watch" then
    watch(argv[2], {
        granted = tonumber(argv[3]), validity = tonumber(argv[4]),
        threshold = tonumber(argv[5]), final = argv[6] == "true",
    })
end
