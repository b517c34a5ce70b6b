# The routes of examples/kamailio.cfg in Python, equal in effect. Modules and parameters stay in that
# file, which uses this one when it is told where it is:
#
#   kamailio -f kamailio.cfg -A 'KEMI_PYTHON="/etc/kamailio/kemi.py"'
#
# Compare what a function of `sec` returns with 0: in Python -1 is true.

import KSR

SCANNERS = ("friendly-scanner", "sipvicious", "sipcli", "vaxsipuseragent", "pplsip")


def mod_init():
    return Kamailio()


class Done(Exception):
    """The request is done with: no further route is run."""


class Kamailio:
    def child_init(self, rank):
        return 0

    def ksr_request_route(self, msg):
        try:
            self.request()
        except Done:
            pass
        return 1

    # The core calls these, too; there is nothing to do in them.
    def ksr_reply_route(self, msg):
        return 1

    def ksr_onsend_route(self, msg):
        return 1

    def request(self):
        # Before anything is parsed or looked up: a denied request costs next to nothing.
        self.protect()

        if KSR.maxfwd.process_maxfwd(10) < 0:
            self.reply(483, "Too Many Hops")
        if KSR.sanity.sanity_check(17895, 7) < 0:
            KSR.sec.strike("malformed", 0)
            raise Done
        if KSR.is_OPTIONS() and KSR.is_myself_ruri() and KSR.pv.is_null("$rU"):
            self.reply(200, "Keepalive")

        if KSR.is_CANCEL():
            if KSR.tm.t_check_trans() > 0:
                self.relay()
            raise Done
        if not KSR.is_ACK():
            if KSR.tmx.t_precheck_trans() > 0:
                KSR.tm.t_check_trans()
                raise Done
            KSR.tm.t_check_trans()

        self.in_dialog()
        self.authenticate()

        KSR.hdr.remove("Route")
        if KSR.is_method_in("IS"):
            KSR.rr.record_route()
        if KSR.is_REGISTER():
            if KSR.registrar.save("location", 0) < 0:
                KSR.sl.sl_reply_error()
            raise Done
        if not KSR.is_myself_ruri():
            # An authenticated user calls somebody elsewhere.
            self.relay()
        if KSR.pv.is_null("$rU"):
            self.reply(484, "Address Incomplete")
        if KSR.registrar.lookup("location") < 0:
            self.reply(404, "Not Found")
        self.relay()

    # Whom we listen to.
    def protect(self):
        KSR.force_rport()
        KSR.set_reply_no_connect()

        verdict = KSR.sec.check()
        if verdict == -4:
            # Over a limit, not banned: a decent phone waits and tries again. Not all of them at
            # the same moment, or hundreds that come back after a power cut would do so for ever.
            wait = 5 + KSR.pv.get("$RANDOM") % 16
            KSR.hdr.append_to_reply("Retry-After: %d\r\n" % wait)
            self.reply(503, "Too Many Requests")
        if verdict < 0:
            # Banned, or held while it is looked up: an attacker learns nothing from silence.
            raise Done

        # What only scanners send. Our own trunks and whoever freed himself may call themselves
        # anything.
        agent = KSR.pv.gete("$ua").lower()
        if KSR.sec.is_whitelisted() < 0 and any(scanner in agent for scanner in SCANNERS):
            KSR.sec.strike("scanner", 5)
            raise Done

    # Who it is. `sec` is told what came out: a wrong password or an unknown user is an offence, a
    # missing or an old credential is not (every phone starts with none), a success earns trust.
    def authenticate(self):
        if not KSR.is_REGISTER() and not KSR.is_myself_furi():
            # Somebody from elsewhere may call our users; he may not use us to call others.
            if not KSR.is_myself_ruri():
                self.reply(403, "Not Relaying")
            return
        realm = KSR.pv.gete("$fd")
        result = KSR.auth_db.auth_check(realm, "subscriber", 1)
        if result > 0:
            KSR.sec.auth_ok(KSR.pv.gete("$au"))
            if not KSR.is_method_in("RP"):
                KSR.auth.consume_credentials()
            return
        if result in (-2, -3) and KSR.sec.auth_failed(KSR.pv.gete("$au")) < 0:
            raise Done
        # The same challenge to all, so that nobody learns which users exist.
        KSR.auth.auth_challenge(realm, 0)
        raise Done

    # Requests within a call.
    def in_dialog(self):
        if KSR.siputils.has_totag() < 0:
            return
        if KSR.rr.loose_route() > 0:
            self.relay()
        if KSR.is_ACK():
            if KSR.tm.t_check_trans() > 0:
                self.relay()
            raise Done
        self.reply(404, "Not Here")

    def relay(self):
        if KSR.tm.t_relay() < 0:
            KSR.sl.sl_reply_error()
        raise Done

    def reply(self, code, reason):
        KSR.sl.sl_send_reply(code, reason)
        raise Done
