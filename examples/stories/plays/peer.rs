//! The same registrar with the usual protection: pike and an htable `ipban`, as Kamailio's own
//! default configuration has them, with the limit of `examples/kamailio.cfg`.
//!
//! Made of `examples/kamailio.cfg` by taking `sec` out, so that nothing else differs.

const REGISTRAR: &str = include_str!("../../kamailio.cfg");

/// The text of the configuration; a ban lasts so many seconds.
pub fn configuration(ban_secs: i64) -> String {
    let text = REGISTRAR.replace(
        "loadmodule \"sec.so\"\n",
        "loadmodule \"pike.so\"\nloadmodule \"htable.so\"\n",
    );
    let modules = format!(
        "modparam(\"pike\", \"sampling_time_unit\", 2)\n\
         modparam(\"pike\", \"reqs_density_per_unit\", 30)\n\
         modparam(\"pike\", \"remove_latency\", 4)\n\
         modparam(\"htable\", \"htable\", \"ipban=>size=8;autoexpire={ban_secs};\")\n"
    );
    let text = replaced(&text, "####### PROTECTION", "####### Routes", &modules);
    let text = replaced(&text, "route[PROTECT] {", "# Who it is.", PROTECT);
    // What a failed login leads to: nothing.
    let failed = "    if ($var(result) == -2";
    let text = replaced(&text, failed, "    # The same challenge", "");
    let kept = |line: &&str| !line.trim_start().starts_with("sec_");
    let lines: Vec<&str> = text.lines().filter(kept).collect();
    lines.join("\n") + "\n"
}

const PROTECT: &str = r#"route[PROTECT] {
    force_rport();
    set_reply_no_connect();
    if (src_ip != myself) {
        if ($sht(ipban=>$si) != $null) {
            exit;
        }
        if (!pike_check_req()) {
            $sht(ipban=>$si) = 1;
            exit;
        }
    }
    if ($ua =~ "friendly-scanner|sipvicious|sipcli|VaxSIPUserAgent|pplsip") {
        exit;
    }
}

"#;

/// The text with another part between two of its lines, the first included.
fn replaced(text: &str, from: &str, to: &str, part: &str) -> String {
    let (before, rest) = text.split_once(from).expect("the example has this part");
    let (_, after) = rest.split_once(to).expect("the example has this part");
    format!("{before}{part}{to}{after}")
}
