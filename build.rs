//! Binds the crate to the Kamailio that is installed on this machine.
//!
//! A Kamailio module must be compiled with the very definitions of its host, or the host refuses
//! it at best. So everything comes from the host itself: version and compile flags from one of its
//! stock modules, the headers from the source package of exactly its version (fetched once, into
//! `target/`; `KAMAILIO_SRC` overrides). What is derived is then checked against the host's own
//! strings, so that a mistake here fails the build and not a server.

#[path = "kamailio-headers/host.rs"]
mod host;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use host::{Definition, Host};

type Result<T> = std::result::Result<T, String>;

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
    let definitions = host::definitions(&host, &host::flag_macros(&text))?;
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

/// Computes both strings with the C preprocessor and compares them with the host's.
fn verify(host: &Host, source: &Path, definitions: &[Definition]) -> Result<()> {
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

fn compiler(source: &Path, definitions: &[Definition]) -> cc::Build {
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
fn bindings(source: &Path, definitions: &[Definition]) -> Result<()> {
    let arguments = definitions.iter().map(|(name, value)| match value {
        Some(value) => format!("-D{name}={value}"),
        None => format!("-D{name}"),
    });
    let wrappers = out_dir().join("wrappers.c");
    let builder = bindgen::Builder::default()
        .header("kamailio-headers/wrapper.h")
        .clang_arg(format!("-I{}", source.join("src").display()))
        .clang_args(arguments)
        .rust_edition(bindgen::RustEdition::Edition2024)
        .wrap_static_fns(true)
        .wrap_static_fns_path(&wrappers)
        .prepend_enum_name(false)
        .merge_extern_blocks(true)
        .generate_comments(false)
        .derive_debug(false)
        .derive_default(false)
        .layout_tests(true)
        .allowlist_function("sec_.*|cfg_(child_init|register_child)|counter_register")
        .allowlist_function("faked_msg_(get_new|match)|free_sip_msg|ksr_msg_env_reset")
        .allowlist_function("fixup_(free_)?spve_all|fork_process|parse_(from|to)_uri")
        .allowlist_function("pv_get_(buffer|buffer_size|null|sintval|strval)|register_procs")
        .allowlist_function("sr_kemi_(eng_get|modules_add|route)")
        .allowlist_type("request_method|sec_constant|module_exports_t|sr_kemi_t|rpc_t|rpc_export_t|pv_export_t")
        .allowlist_var("process_no|route_type|PROC_.*|SR_KEMIP_(INT|STR)|L_(ERR|WARN|NOTICE|INFO|DBG)")
        .allowlist_var("SIP_(REQUEST|REPLY)|(ONEVENT|LOCAL|REQUEST)_ROUTE")
        .opaque_type("lump|via_body|msg_body|hdr_field|socket_info|sockaddr.*|select|action_u|_pv_(value|param|spec)")
        .opaque_type("msg_ldata|ocd_flow|sip_uri_format|new_uri.*|digest.*|sr_.*xavp|regex_t|re_pattern_buffer");
    // bindgen panics when it cannot load libclang.
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| builder.generate()))
        .map_err(|_| "libclang is missing: run `make deps`, or set LIBCLANG_PATH".to_owned())?
        .map_err(|error| format!("bindgen cannot read Kamailio's headers: {error}"))?
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
