//! The scripts of the test server: every function of the module, callable by a SIP request.
//!
//! A request to `sip:<function>@…` with the arguments in headers is answered `200 rc <code>`, with
//! the pseudo-variables in a header. So a test calls a script function from any source address,
//! over any transport, and one configuration serves all of them, in three languages.

/// How a script passes an argument.
#[derive(Clone, Copy)]
enum Kind {
    Text,
    Number,
}

use Kind::{Number, Text};

/// The functions of the native script and every list of arguments they take.
const FUNCTIONS: &[(&str, &[&[Kind]])] = &[
    ("sec_check", &[&[], &[Text]]),
    ("is_whitelisted", &[&[], &[Text]]),
    ("sec_is_whitelisted", &[&[], &[Text]]),
    ("sec_is_banned", &[&[], &[Text]]),
    (
        "sec_ban",
        &[&[], &[Text], &[Text, Number], &[Text, Number, Text]],
    ),
    ("sec_unban", &[&[], &[Text]]),
    ("sec_whitelist_add", &[&[], &[Text], &[Text, Number]]),
    ("sec_whitelist_remove", &[&[], &[Text]]),
    ("sec_auth_failed", &[&[], &[Text]]),
    ("sec_auth_ok", &[&[], &[Text]]),
    ("sec_strike", &[&[Text], &[Text, Number]]),
    ("sec_check_extension", &[&[], &[Text], &[Text, Text]]),
    ("sec_check_agent", &[&[]]),
    ("sec_count", &[&[Text, Number, Number]]),
];

/// The functions of the embedded languages, each with its one signature.
const KEMI_FUNCTIONS: &[(&str, &[Kind])] = &[
    ("check", &[]),
    ("check_ip", &[Text]),
    ("is_whitelisted", &[]),
    ("is_whitelisted_ip", &[Text]),
    ("is_banned", &[]),
    ("is_banned_ip", &[Text]),
    ("ban", &[Text, Number, Text]),
    ("unban", &[Text]),
    ("whitelist_add", &[Text, Number]),
    ("whitelist_remove", &[Text]),
    ("auth_failed", &[Text]),
    ("auth_ok", &[Text]),
    ("strike", &[Text, Number]),
    ("check_extension", &[Text, Text]),
    ("check_agent", &[]),
    ("count", &[Text, Number, Number]),
];

/// The pseudo-variables and the worker's process, as the answer's header `X-Sec` carries them.
const VARIABLES: &str = "worker=$pp;verdict=$sec(verdict);reason=$sec(reason);\
                         ban_ttl=$sec(ban_ttl);strikes=$sec(strikes);rdns=$sec(rdns)";

/// Blocks for a native request route: one `if` for every function and number of arguments, then
/// the answer. `panicking` adds the function that panics on purpose.
pub fn native(panicking: bool) -> String {
    let mut route = String::from("    $var(rc) = 99;\n");
    let mut add = |name: &str, kinds: &[Kind]| {
        let arguments: Vec<String> = (1..)
            .zip(kinds)
            .map(|(index, kind)| match kind {
                Text => format!("\"$hdr(X-{index})\""),
                Number => format!("\"$(hdr(X-{index}){{s.int}})\""),
            })
            .collect();
        route += &format!(
            "    if ($rU == \"{name}\" && $hdr(X-N) == \"{}\") {{ {name}({}); $var(rc) = $rc; }}\n",
            kinds.len(),
            arguments.join(", ")
        );
    };
    for (name, signatures) in FUNCTIONS {
        for kinds in *signatures {
            add(name, kinds);
        }
    }
    if panicking {
        add("sec_test_panic", &[]);
    }
    route += &format!("    append_to_reply(\"X-Sec: {VARIABLES}\\r\\n\");\n");
    route += "    sl_send_reply(\"200\", \"rc $var(rc)\");\n";
    route
}

/// The same in Lua.
pub fn lua() -> String {
    let mut script = String::from(
        "local function text(i) return KSR.pv.gete(\"$hdr(X-\" .. i .. \")\") end\n\
         function ksr_request_route()\n\
         \x20 local name = KSR.pv.gete(\"$rU\")\n\
         \x20 local rc = 99\n",
    );
    for (name, kinds) in KEMI_FUNCTIONS {
        let arguments = arguments(kinds, "tonumber");
        script += &format!("  if name == \"{name}\" then rc = KSR.sec.{name}({arguments}) end\n");
    }
    script += &format!(
        "  KSR.pvx.evalx(\"$var(answer)\", \"X-Sec: {VARIABLES}\")\n\
         \x20 KSR.hdr.append_to_reply(KSR.pv.gete(\"$var(answer)\") .. \"\\r\\n\")\n\
         \x20 KSR.sl.sl_send_reply(200, \"rc \" .. rc)\n\
         end\n\
         function ksr_sec_event(event)\n\
         \x20 KSR.notice(\"heard \" .. event .. \" \" .. KSR.pv.gete(\"$sec(ip)\") .. \" \"\n\
         \x20   .. KSR.pv.gete(\"$sec(reason)\") .. \" \" .. KSR.pv.get(\"$sec(ban_ttl)\") .. \"\\n\")\n\
         end\n"
    );
    script
}

/// The same in Python.
pub fn python() -> String {
    let mut script = String::from(
        "import KSR\n\n\
         def text(i):\n\
         \x20   return KSR.pv.gete(\"$hdr(X-%d)\" % i)\n\n\
         def mod_init():\n\
         \x20   return Script()\n\n\
         class Script:\n\
         \x20   def child_init(self, rank):\n\
         \x20       return 0\n\n\
         \x20   def ksr_request_route(self, msg):\n\
         \x20       name = KSR.pv.gete(\"$rU\")\n\
         \x20       rc = 99\n",
    );
    for (name, kinds) in KEMI_FUNCTIONS {
        let arguments = arguments(kinds, "int");
        script += &format!(
            "        if name == \"{name}\":\n            rc = KSR.sec.{name}({arguments})\n"
        );
    }
    script += &format!(
        "        KSR.pvx.evalx(\"$var(answer)\", \"X-Sec: {VARIABLES}\")\n\
         \x20       KSR.hdr.append_to_reply(KSR.pv.gete(\"$var(answer)\") + \"\\r\\n\")\n\
         \x20       KSR.sl.sl_send_reply(200, \"rc %d\" % rc)\n\
         \x20       return 1\n\n\
         \x20   def ksr_sec_event(self, msg, event):\n\
         \x20       KSR.notice(\"heard %s %s %s %d\\n\" % (event, KSR.pv.gete(\"$sec(ip)\"),\n\
         \x20           KSR.pv.gete(\"$sec(reason)\"), KSR.pv.get(\"$sec(ban_ttl)\")))\n\
         \x20       return 1\n"
    );
    script
}

fn arguments(kinds: &[Kind], number: &str) -> String {
    let arguments: Vec<String> = (1..)
        .zip(kinds)
        .map(|(index, kind)| match kind {
            Text => format!("text({index})"),
            Number => format!("{number}(text({index}))"),
        })
        .collect();
    arguments.join(", ")
}
