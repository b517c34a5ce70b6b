//! Binds the crate to the Kamailio that is installed on this machine.
//!
//! A Kamailio module must be compiled with the very definitions of its host, or the host refuses
//! it at best. So everything comes from the host itself: version and compile flags from one of its
//! stock modules, the headers from the source package of exactly its version (fetched once, into
//! `target/`; `KAMAILIO_SRC` overrides). What is derived is then checked against the host's own
//! strings, so that a mistake here fails the build and not a server.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use object::{Object, ObjectSection, ObjectSymbol};

type Result<T> = std::result::Result<T, String>;

/// Definitions of a Linux build that change no flag string; from Kamailio's own makefiles.
const LINUX: &[&str] = &[
    "__OS_linux",
    "CC_GCC_LIKE_ASM",
    "HAVE_ALLOCA_H",
    "HAVE_EPOLL",
    "HAVE_GETHOSTBYNAME2",
    "HAVE_IP_MREQN",
    "HAVE_MSGHDR_MSG_CONTROL",
    "HAVE_MSG_NOSIGNAL",
    "HAVE_SCHED_SETSCHEDULER",
    "HAVE_SCHED_YIELD",
    "HAVE_SELECT",
    "HAVE_SIGIO_RT",
    "HAVE_TIMEGM",
    "HAVE_UNION_SEMUN",
    "MALLOC_STATS",
    "SIGINFO64_WORKARROUND",
    "STATISTICS",
    "USE_CORE_STATS",
];

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    // The loom models reach no host symbol, and the border is left out of them.
    if env::var_os("CARGO_CFG_LOOM").is_some() {
        return;
    }
    if let Err(error) = bind() {
        eprintln!("\nerror: {error}\n");
        std::process::exit(1);
    }
}

fn bind() -> Result<()> {
    for name in ["KAMAILIO_SRC", "KAMAILIO_MODULES"] {
        println!("cargo:rerun-if-env-changed={name}");
    }
    println!("cargo:rerun-if-changed=kamailio-headers");
    let host = Host::installed()?;
    let source = headers(&host)?;
    let text = read(&source.join("src/core/ver_defs.h"))?;
    let definitions = definitions(&host, &flag_macros(&text))?;
    verify(&host, &source, &definitions)?;
    bindings(&source, &definitions)?;
    // Kamailio opens its script engines with RTLD_GLOBAL, and they all export a symbol `exports`,
    // too. Our own references must mean our own symbols, whoever was loaded before.
    println!("cargo:rustc-cdylib-link-arg=-Wl,-Bsymbolic");
    let out = out_dir().join("host.rs");
    let text = format!(
        "pub const MODULE_VERSION: &::std::ffi::CStr = c{:?};\n\
         pub const MODULE_FLAGS: &::std::ffi::CStr = c{:?};\n",
        host.version, host.flags
    );
    fs::write(&out, text).map_err(|error| format!("{}: {error}", out.display()))
}

/// What the host compares a module with before it loads it.
struct Host {
    /// `kamailio 5.6.3 (x86_64/linux)`.
    version: String,
    /// `USE_TCP, USE_TLS, …`.
    flags: String,
}

impl Host {
    /// Reads both strings from the stock module `pv.so`. `kamailio -v` is no substitute: from 6.1
    /// on it prints three flags more than the loader compares with.
    fn installed() -> Result<Host> {
        let path = stock_module()?;
        println!("cargo:rerun-if-changed={}", path.display());
        // A package keeps the file times of its build; the list is written when it is installed.
        let list = Path::new("/var/lib/dpkg/info/kamailio.list");
        if list.exists() {
            println!("cargo:rerun-if-changed={}", list.display());
        }
        let bytes = fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        let named = |error: String| format!("{}: {error}", path.display());
        let elf = object::File::parse(&*bytes).map_err(|error| named(error.to_string()))?;
        Ok(Host {
            version: string_symbol(&elf, "module_version").map_err(named)?,
            flags: string_symbol(&elf, "module_flags").map_err(named)?,
        })
    }

    /// Name, number (`5.6.3`), architecture and system of the version string.
    fn version_parts(&self) -> Result<[&str; 4]> {
        let parts = || {
            let (name, rest) = self.version.split_once(' ')?;
            let (number, rest) = rest.split_once(" (")?;
            let (arch, os) = rest.strip_suffix(')')?.split_once('/')?;
            Some([name, number, arch, os])
        };
        parts().ok_or_else(|| format!("cannot read the host's version string {:?}", self.version))
    }
}

/// The file `pv.so` of the installed Kamailio.
fn stock_module() -> Result<PathBuf> {
    if let Some(folder) = env::var_os("KAMAILIO_MODULES") {
        let path = Path::new(&folder).join("pv.so");
        return match path.exists() {
            true => Ok(path),
            false => Err(format!("KAMAILIO_MODULES: there is no {}", path.display())),
        };
    }
    let listed = Command::new("dpkg-query").args(["-L", "kamailio"]).output();
    if let Ok(output) = listed {
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        if let Some(path) = text.lines().find(|line| line.ends_with("/modules/pv.so")) {
            return Ok(path.into());
        }
    }
    let mut folders: Vec<PathBuf> = fs::read_dir("/usr/lib")
        .map(|entries| entries.flatten().map(|entry| entry.path()).collect())
        .unwrap_or_default();
    folders.extend(["/usr/lib64", "/usr/local/lib64", "/usr/local/lib"].map(PathBuf::from));
    let candidates = folders
        .iter()
        .map(|folder| folder.join("kamailio/modules/pv.so"));
    candidates
        .into_iter()
        .find(|path| path.exists())
        .ok_or_else(|| {
            "Kamailio is not installed: run `make deps` (Debian package `kamailio`), or set \
         KAMAILIO_MODULES to the folder that holds its pv.so"
                .to_owned()
        })
}

/// Follows an exported `char *` of a shared object to its text.
fn string_symbol(elf: &object::File<'_>, name: &str) -> Result<String> {
    let symbol = elf
        .dynamic_symbols()
        .find(|symbol| symbol.name() == Ok(name))
        .ok_or_else(|| format!("no symbol `{name}`: is this a Kamailio module?"))?;
    let relocated = elf
        .dynamic_relocations()
        .into_iter()
        .flatten()
        .find(|(address, _)| *address == symbol.address())
        .map(|(_, relocation)| relocation.addend() as u64);
    let address = match relocated {
        Some(address) if address != 0 => address,
        _ => {
            let pointer = bytes_at(elf, symbol.address())?;
            let pointer = pointer.get(..8).ok_or("a pointer is cut off")?;
            u64::from_le_bytes(pointer.try_into().map_err(|_| "a pointer is cut off")?)
        }
    };
    let text = bytes_at(elf, address)?;
    let end = text
        .iter()
        .position(|byte| *byte == 0)
        .ok_or("a string without an end")?;
    String::from_utf8(text[..end].to_vec()).map_err(|_| format!("`{name}` is not text"))
}

/// What the file holds from a virtual address to the end of its section.
fn bytes_at<'a>(elf: &object::File<'a>, address: u64) -> Result<&'a [u8]> {
    elf.sections()
        .find(|section| (section.address()..section.address() + section.size()).contains(&address))
        .and_then(|section| {
            section
                .data()
                .ok()?
                .get((address - section.address()) as usize..)
        })
        .ok_or_else(|| format!("address {address:#x} is in no section"))
}

/// The root of a source tree with the host's headers under `src/core`.
fn headers(host: &Host) -> Result<PathBuf> {
    if let Some(source) = env::var_os("KAMAILIO_SRC") {
        let source = PathBuf::from(source);
        let probe = source.join("src/core/ver_defs.h");
        if !probe.exists() {
            return Err(format!("KAMAILIO_SRC: there is no {}", probe.display()));
        }
        same_release(host, &source)?;
        return Ok(source);
    }
    // Beside the crate and not under OUT_DIR: debug, release, test and fault builds share it.
    let store = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/kamailio-headers");
    let output = Command::new("sh")
        .arg("kamailio-headers/fetch.sh")
        .arg(&store)
        .stderr(std::process::Stdio::inherit())
        .output()
        .map_err(|error| format!("kamailio-headers/fetch.sh: {error}"))?;
    match output.status.success() {
        true => Ok(PathBuf::from(
            String::from_utf8_lossy(&output.stdout).trim(),
        )),
        false => Err("the headers of the installed Kamailio are missing (see above)".to_owned()),
    }
}

/// Refuses a source tree of another release: its structures may differ from the host's.
fn same_release(host: &Host, source: &Path) -> Result<()> {
    let Ok(text) = fs::read_to_string(source.join("src/Makefile.defs")) else {
        return Ok(());
    };
    let value = |name: &str| {
        text.lines().find_map(|line| {
            let (left, right) = line.split_once('=')?;
            (left.trim() == name).then(|| right.trim().to_owned())
        })
    };
    let (Some(major), Some(minor)) = (value("VERSION"), value("PATCHLEVEL")) else {
        return Ok(());
    };
    let number = host.version_parts()?[1];
    match number.starts_with(&format!("{major}.{minor}.")) {
        true => Ok(()),
        false => Err(format!(
            "KAMAILIO_SRC is Kamailio {major}.{minor}, but {number} is installed"
        )),
    }
}

/// Which macros stand behind each word of the flag string: `ver_defs.h` read backwards.
fn flag_macros(text: &str) -> HashMap<String, Vec<String>> {
    let mut flags = HashMap::new();
    let mut branch: Vec<Option<String>> = Vec::new();
    for line in text.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix("#ifdef ") {
            branch.push(Some(name.trim().to_owned()));
        } else if line.starts_with("#if") {
            branch.push(None);
        } else if let Some(test) = line.strip_prefix("#elif defined") {
            let name = test.trim().trim_matches(['(', ')', ' ']);
            branch.pop();
            branch.push(Some(name.to_owned()));
        } else if line.starts_with("#el") {
            branch.pop();
            branch.push(None);
        } else if line.starts_with("#endif") {
            branch.pop();
        } else if line.starts_with("#define") {
            let flag = line
                .split('"')
                .nth(1)
                .unwrap_or_default()
                .trim_start_matches(", ");
            let macros: Vec<String> = branch.iter().flatten().cloned().collect();
            if !flag.is_empty() && !macros.is_empty() {
                flags.entry(flag.to_owned()).or_insert(macros);
            }
        }
    }
    flags
}

/// The `-D` set of the host: name and value.
fn definitions(
    host: &Host,
    flag_macros: &HashMap<String, Vec<String>>,
) -> Result<Vec<(String, Option<String>)>> {
    let [name, number, arch, os] = host.version_parts()?;
    let text = |value: &str| Some(format!("\"{value}\""));
    let mut defined = vec![
        ("NAME".to_owned(), text(name)),
        ("VERSION".to_owned(), text(number)),
        ("ARCH".to_owned(), text(arch)),
        ("OS_QUOTED".to_owned(), text(os)),
        (
            "VERSIONVAL".to_owned(),
            Some(version_value(number).to_string()),
        ),
        ("ADAPTIVE_WAIT_LOOPS".to_owned(), Some("1024".to_owned())),
        (format!("__CPU_{arch}"), None),
    ];
    for flag in host.flags.split(',').map(str::trim) {
        let macros = flag_macros.get(flag).ok_or_else(|| {
            format!(
                "the installed Kamailio ({}) was compiled with `{flag}`, which its ver_defs.h does \
                 not explain: its structures cannot be trusted, so nothing is built",
                host.version
            )
        })?;
        defined.extend(macros.iter().map(|name| (name.clone(), None)));
    }
    defined.extend(LINUX.iter().map(|name| ((*name).to_owned(), None)));
    Ok(defined)
}

/// `5.6.3` as Kamailio's VERSIONVAL, 5006003.
fn version_value(number: &str) -> u32 {
    let mut parts = number
        .split(['.', '-'])
        .map(|part| part.parse::<u32>().unwrap_or(0));
    let mut next = || parts.next().unwrap_or(0);
    next() * 1_000_000 + next() * 1_000 + next()
}

/// Computes both strings with the C preprocessor and compares them with the host's.
fn verify(host: &Host, source: &Path, definitions: &[(String, Option<String>)]) -> Result<()> {
    let probe = out_dir().join("version.c");
    let code =
        "#include \"core/ver_defs.h\"\nVERSION_IS SER_FULL_VERSION\nFLAGS_ARE SER_COMPILE_FLAGS\n";
    fs::write(&probe, code).map_err(|error| format!("{}: {error}", probe.display()))?;
    let text = compiler(source, definitions)
        .file(&probe)
        .try_expand()
        .map_err(|error| format!("the C compiler cannot read ver_defs.h: {error}"))?;
    let text = String::from_utf8_lossy(&text).into_owned();
    for (marker, expected) in [("VERSION_IS ", &host.version), ("FLAGS_ARE ", &host.flags)] {
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(marker))
            .unwrap_or_default();
        let computed: String = line.split('"').skip(1).step_by(2).collect();
        if computed != *expected {
            return Err(format!(
                "the headers in {} do not give the host's string\n  host:    {expected}\n  headers: {computed}",
                source.display()
            ));
        }
    }
    Ok(())
}

fn compiler(source: &Path, definitions: &[(String, Option<String>)]) -> cc::Build {
    let mut build = cc::Build::new();
    build
        .include(source.join("src"))
        .warnings(false)
        .cargo_warnings(false)
        .cargo_metadata(false);
    for (name, value) in definitions {
        build.define(name, value.as_deref());
    }
    build
}

/// Writes `bindings.rs`, and compiles the wrappers of `static inline` functions.
fn bindings(source: &Path, definitions: &[(String, Option<String>)]) -> Result<()> {
    let arguments = definitions.iter().map(|(name, value)| match value {
        Some(value) => format!("-D{name}={value}"),
        None => format!("-D{name}"),
    });
    let wrappers = out_dir().join("wrappers.c");
    bindgen::Builder::default()
        .header("kamailio-headers/wrapper.h")
        .clang_arg(format!("-I{}", source.join("src").display()))
        .clang_args(arguments)
        .rust_edition(bindgen::RustEdition::Edition2024)
        .wrap_static_fns(true)
        .wrap_static_fns_path(&wrappers)
        .prepend_enum_name(false)
        .merge_extern_blocks(true)
        .derive_debug(false)
        .derive_default(false)
        .layout_tests(true)
        .allowlist_function("sec_.*|cfg_(child_init|register_child)|counter_register|faked_msg_match")
        .allowlist_function("fixup_(free_)?spve_all|fork_process|parse_(from|to)_uri")
        .allowlist_function("pv_get_(buffer|buffer_size|null|sintval|strval)|register_procs")
        .allowlist_function("sr_kemi_modules_add")
        .allowlist_type("sec_constant|module_exports_t|sr_kemi_t|rpc_t|rpc_export_t|pv_export_t")
        .allowlist_var("process_no|PROC_.*|SR_KEMIP_(INT|STR)|L_(ERR|WARN|NOTICE|INFO|DBG)|SIP_(REQUEST|REPLY)|ONEVENT_ROUTE")
        .opaque_type("lump|via_body|msg_body|hdr_field|socket_info|sockaddr.*|select|action_u|_pv_(value|param|spec)")
        .opaque_type("msg_ldata|ocd_flow|sip_uri_format|new_uri.*|digest.*|sr_.*xavp|regex_t|re_pattern_buffer")
        .generate()
        .map_err(|error| format!("bindgen (is libclang installed? `make deps`): {error}"))?
        .write_to_file(out_dir().join("bindings.rs"))
        .map_err(|error| format!("bindings.rs: {error}"))?;
    compiler(source, definitions)
        .include(env!("CARGO_MANIFEST_DIR"))
        .file(&wrappers)
        .cargo_metadata(true)
        .try_compile("sec_wrappers")
        .map_err(|error| format!("the C compiler cannot build the wrappers: {error}"))
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}

fn out_dir() -> PathBuf {
    PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"))
}
