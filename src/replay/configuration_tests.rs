//! Configurations as text: what counts, and what is said of the rest.

use std::fs;

use super::*;

/// What a configuration sets: `name=value`, in order; and the notes.
fn read(text: &str, defines: &[&str]) -> (Vec<String>, Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kamailio.cfg");
    fs::write(&path, text).unwrap();
    let defines: Vec<String> = defines.iter().map(|define| (*define).to_owned()).collect();
    let found = Configuration::read(&path, &defines).expect("it can be read");
    let show = |line: &Line| match &line.value {
        Setting::Text(text) => format!("{}={text:?}", line.name),
        Setting::Number(number) => format!("{}={number}", line.name),
    };
    (found.lines.iter().map(show).collect(), found.notes)
}

#[test]
fn lines_are_found_between_everything_else() {
    let text = r##"#!KAMAILIO
        # modparam("sec", "ban_time", 1)
        // modparam("sec", "ban_time", 2)
        /* modparam("sec", "ban_time", 3)
           modparam("sec", "ban_time", 4) */
        loadmodule "sec.so"
        modparam("usrloc", "db_mode", 0)
        modparam ( "sec" , "ban_time" , "5m" ) # the first
        modparam("sec|pike", "strike_limit",
            7)
        modparam("sec", "whitelist", 'a\b # no comment')
        modparam("sec", "whitelist", "quoted \"x\" // y")
        modparam("sec", "agent_check", yes)
        modparam("sec", "log_level", -1)
        request_route { xlog("modparam(\"sec\", \"x\", 1)"); if ($rU == "#!") exit; }
        modparam("secsipid", "mode", 1)
    "##;
    let (lines, notes) = read(text, &[]);
    let expected = [
        "ban_time=\"5m\"",
        "strike_limit=7",
        "whitelist=\"a\\\\b # no comment\"",
        "whitelist=\"quoted \\\"x\\\" // y\"",
        "agent_check=1",
        "log_level=-1",
    ];
    assert_eq!(
        (lines, notes),
        (expected.map(String::from).to_vec(), vec![])
    );
}

#[test]
fn definitions_and_conditions_are_followed() {
    let text = r##"
        #!define BAN 60
        #!define RATE "name=burst;limit=9;window=2"
        #!trydef BAN 61
        #!ifdef STRICT
        modparam("sec", "strike_limit", 3)
        #!else
        modparam("sec", "strike_limit", 30)
        #!endif
        #!ifndef STRICT
          #!ifdef BAN
          modparam("sec", "trust_time", 1)
          #!else
          modparam("sec", "trust_time", 2)
          #!endif
        #!else
          #!ifdef BAN
          modparam("sec", "trust_time", 3)
          #!endif
        #!endif
        #!substdef "!ADDRESS!192.0.2.1!g"
        modparam("sec", "ban_time", BAN)
        modparam("sec", "rate", RATE)
        modparam("sec", "redis_url", "redis://ADDRESS")
        #!define LONG \
            5
        modparam("sec", "ban_factor", LONG)
        modparam("sec", "state_file", FILE)
    "##;
    let (lines, notes) = read(text, &["STRICT", "FILE=\"/x\""]);
    let expected = [
        "strike_limit=3",
        "trust_time=3",
        "ban_time=60",
        "rate=\"name=burst;limit=9;window=2\"",
        "redis_url=\"redis://192.0.2.1\"",
        "ban_factor=5",
        "state_file=\"/x\"",
    ];
    assert_eq!(
        (lines, notes),
        (expected.map(String::from).to_vec(), vec![])
    );
    let (lines, notes) = read(text, &[]);
    assert_eq!(lines[..2], ["strike_limit=30", "trust_time=1"]);
    assert!(
        notes[0].contains("kamailio.cfg:28: the value of state_file cannot be read"),
        "{notes:?}"
    );
}

#[test]
fn files_within_files_are_read_in_their_place() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::write(
        path("sec.cfg"),
        "modparam(\"sec\", \"ban_time\", TIME)\n#!ifdef NEVER\n",
    )
    .unwrap();
    let text = "#!define TIME 7\ninclude_file \"sec.cfg\"\nimport_file \"absent.cfg\"\n\
                modparam(\"sec\", \"ban_factor\", 1)\n";
    fs::write(path("main.cfg"), text).unwrap();
    let found = Configuration::read(&path("main.cfg"), &[]).unwrap();
    let names: Vec<&str> = found.lines.iter().map(|line| line.name.as_str()).collect();
    assert_eq!(names, ["ban_time", "ban_factor"]);
    assert!(
        found.lines[0].place.ends_with("sec.cfg:1"),
        "{}",
        found.lines[0].place
    );
    fs::write(path("main.cfg"), "include_file \"absent.cfg\"\n").unwrap();
    let error = Configuration::read(&path("main.cfg"), &[]).unwrap_err();
    assert!(
        error.contains("main.cfg:1: include_file \"absent.cfg\": there is no such file"),
        "{error}"
    );
    fs::write(path("main.cfg"), "include_file \"main.cfg\"\n").unwrap();
    let error = Configuration::read(&path("main.cfg"), &[]).unwrap_err();
    assert!(error.contains("more than 10 files within files"), "{error}");
}

#[test]
fn what_is_not_followed_is_said() {
    let text = r##"
        modparamx("sec", "ban_time", "60")
        #!ifexp KAMAILIO_VERSION > 5006000
        modparam("sec", "ban_factor", 3)
        #!endif
        #!subst "/[a-z]+/x/"
        #!defenv HOME
        modparam("sec", "ban_memory", $def(X))
        modparam("sec", ban_time, 3)
    "##;
    let (lines, notes) = read(text, &[]);
    assert_eq!(lines, ["ban_time=\"60\"", "ban_factor=3"]);
    for (note, part) in notes.iter().zip([
        "modparamx is not evaluated",
        "#!ifexp is not evaluated: it is taken as true, and its #!else is left out",
        "by the pattern [a-z]+ is not followed",
        "#!defenv is not followed",
        "the value of ban_memory cannot be read",
        "this line for sec cannot be read",
    ]) {
        assert!(note.contains(part), "{note}");
    }
    assert_eq!(notes.len(), 6, "{notes:?}");
}

#[test]
fn of_ifexp_the_first_half_counts_and_that_is_said() {
    let text = r##"
        #!ifexp KAMAILIO_VERSION > 5006000
        modparam("sec", "ban_time", 60)
        #!else
        modparam("sec", "ban_time", 61)
        #!ifexp KAMAILIO_VERSION > 5005000
        modparam("sec", "ban_time", 62)
        #!endif
        #!endif
        #!ifdef NEVER
        #!ifexp 1 == 1
        modparam("sec", "ban_time", 63)
        #!endif
        #!endif
        #!ifexp 1 == 2
        #!else
        modparam("sec", "ban_factor", 4)
        #!endif
        modparam("sec", "ban_factor", 3)
    "##;
    let (lines, notes) = read(text, &[]);
    assert_eq!(lines, ["ban_time=60", "ban_factor=3"]);
    let places: Vec<&str> = notes
        .iter()
        .filter_map(|note| note.strip_suffix(&format!(": {IFEXP}")))
        .filter_map(|place| place.rsplit(':').next())
        .collect();
    assert_eq!(places, ["2", "15"], "{notes:?}");
    assert_eq!(notes.len(), 2, "where nothing counts, nothing is said");
}

#[test]
fn values_are_checked_as_by_the_module() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kamailio.cfg");
    let check = |text: &str| {
        fs::write(&path, text).unwrap();
        Configuration::read(&path, &[]).and_then(|found| found.apply())
    };
    let error = check("\nmodparam(\"sec\", \"ban_time\", -5)").unwrap_err();
    assert!(
        error.contains("kamailio.cfg:2: ban_time: \"-5\" is not a time; allowed: "),
        "{error}"
    );
    let error = check("modparam(\"sec\", \"bantime\", 5)").unwrap_err();
    assert!(
        error.contains("there is no parameter \"bantime\""),
        "{error}"
    );
    let (config, warnings) =
        check("modparam(\"sec\", \"ban_time\", 5)\nmodparam(\"sec\", \"ban_time\", 6)").unwrap();
    assert_eq!(config.policy().bans.first, 6);
    assert!(
        warnings[0].contains("kamailio.cfg:2: ban_time: given more than once"),
        "{warnings:?}"
    );
    assert!(
        check("loadmodule \"sec.so\"").is_ok(),
        "the defaults are a configuration"
    );
    let error = check("loadmodule \"sl.so\"").unwrap_err();
    assert!(
        error.contains("neither loads sec.so nor sets a parameter of it"),
        "{error}"
    );
}
