-- The routes of examples/kamailio.cfg in Lua, equal in effect. Modules and parameters stay in that
-- file, which uses this one when it is told where it is:
--
--   kamailio -f kamailio.cfg -A 'KEMI_LUA="/etc/kamailio/kemi.lua"'
--
-- Compare what a function of `sec` returns with 0: in Lua -1 is true.

local SCANNERS = { "friendly-scanner", "sipvicious", "sipcli", "vaxsipuseragent", "pplsip" }

function ksr_request_route()
    -- Before anything is parsed or looked up: a denied request costs next to nothing.
    ksr_route_protect()

    if KSR.maxfwd.process_maxfwd(10) < 0 then
        KSR.sl.sl_send_reply(483, "Too Many Hops")
        KSR.x.exit()
    end
    if KSR.sanity.sanity_check(17895, 7) < 0 then
        KSR.sec.strike("malformed", 0)
        KSR.x.exit()
    end
    if KSR.is_OPTIONS() and KSR.is_myself_ruri() and KSR.pv.is_null("$rU") then
        KSR.sl.sl_send_reply(200, "Keepalive")
        KSR.x.exit()
    end

    if KSR.is_CANCEL() then
        if KSR.tm.t_check_trans() > 0 then
            ksr_route_relay()
        end
        KSR.x.exit()
    end
    if not KSR.is_ACK() then
        if KSR.tmx.t_precheck_trans() > 0 then
            KSR.tm.t_check_trans()
            KSR.x.exit()
        end
        KSR.tm.t_check_trans()
    end

    ksr_route_in_dialog()
    ksr_route_authenticate()

    KSR.hdr.remove("Route")
    if KSR.is_method_in("IS") then
        KSR.rr.record_route()
    end
    if KSR.is_REGISTER() then
        if KSR.registrar.save("location", 0) < 0 then
            KSR.sl.sl_reply_error()
        end
        KSR.x.exit()
    end
    if not KSR.is_myself_ruri() then
        -- An authenticated user calls somebody elsewhere.
        ksr_route_relay()
    end
    if KSR.pv.is_null("$rU") then
        KSR.sl.sl_send_reply(484, "Address Incomplete")
        KSR.x.exit()
    end
    if KSR.registrar.lookup("location") < 0 then
        KSR.sl.sl_send_reply(404, "Not Found")
        KSR.x.exit()
    end
    ksr_route_relay()
end

-- Whom we listen to.
function ksr_route_protect()
    KSR.force_rport()
    KSR.set_reply_no_connect()

    local verdict = KSR.sec.check()
    if verdict == -4 then
        -- Over a limit, not banned: a decent phone waits and tries again. Not all of them at the
        -- same moment, or hundreds that come back after a power cut would do so for ever.
        local wait = 5 + KSR.pv.get("$RANDOM") % 16
        KSR.hdr.append_to_reply("Retry-After: " .. wait .. "\r\n")
        KSR.sl.sl_send_reply(503, "Too Many Requests")
        KSR.x.exit()
    end
    if verdict < 0 then
        -- Banned, or held while it is looked up: an attacker learns nothing from silence.
        KSR.x.exit()
    end

    -- What only scanners send. Our own trunks and whoever freed himself may call themselves
    -- anything.
    if KSR.sec.is_whitelisted() < 0 and is_scanner(KSR.pv.gete("$ua")) then
        KSR.sec.strike("scanner", 5)
        KSR.x.exit()
    end
end

function is_scanner(agent)
    agent = string.lower(agent)
    for _, scanner in ipairs(SCANNERS) do
        if string.find(agent, scanner, 1, true) then
            return true
        end
    end
    return false
end

-- Who it is. `sec` is told what came out: a wrong password or an unknown user is an offence, a
-- missing or an old credential is not (every phone starts with none), a success earns trust.
function ksr_route_authenticate()
    if not KSR.is_REGISTER() and not KSR.is_myself_furi() then
        -- Somebody from elsewhere may call our users; he may not use us to call others.
        if not KSR.is_myself_ruri() then
            KSR.sl.sl_send_reply(403, "Not Relaying")
            KSR.x.exit()
        end
        return
    end
    local realm = KSR.pv.gete("$fd")
    local result = KSR.auth_db.auth_check(realm, "subscriber", 1)
    if result > 0 then
        KSR.sec.auth_ok(KSR.pv.gete("$au"))
        if not KSR.is_method_in("RP") then
            KSR.auth.consume_credentials()
        end
        return
    end
    if result == -2 or result == -3 then
        if KSR.sec.auth_failed(KSR.pv.gete("$au")) < 0 then
            KSR.x.exit()
        end
    end
    -- The same challenge to all, so that nobody learns which users exist.
    KSR.auth.auth_challenge(realm, 0)
    KSR.x.exit()
end

-- Requests within a call.
function ksr_route_in_dialog()
    if KSR.siputils.has_totag() < 0 then
        return
    end
    if KSR.rr.loose_route() > 0 then
        ksr_route_relay()
    end
    if KSR.is_ACK() then
        if KSR.tm.t_check_trans() > 0 then
            ksr_route_relay()
        end
        KSR.x.exit()
    end
    KSR.sl.sl_send_reply(404, "Not Here")
    KSR.x.exit()
end

function ksr_route_relay()
    if KSR.tm.t_relay() < 0 then
        KSR.sl.sl_reply_error()
    end
    KSR.x.exit()
end
