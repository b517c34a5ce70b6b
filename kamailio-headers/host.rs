//! What the installed Kamailio was compiled with, read from the machine itself.
//!
//! Part of the build script: runs on the machine that builds, and nothing of it is in the module.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use object::{Object, ObjectSection, ObjectSymbol};

use crate::Result;

/// A `-D` of the C compiler: name and value.
pub type Definition = (String, Option<String>);

/// What the host compares a module with before it loads it.
pub struct Host {
    /// `kamailio 5.6.3 (x86_64/linux)`.
    pub version: String,
    /// `USE_TCP, USE_TLS, …`.
    pub flags: String,
}

impl Host {
    /// Reads both strings from the stock module `pv.so`. `kamailio -v` is no substitute: from 6.1
    /// on it prints three flags more than the loader compares with.
    pub fn installed() -> Result<Host> {
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
    pub fn version_parts(&self) -> Result<[&str; 4]> {
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

/// Which macros stand behind each word of the flag string: `ver_defs.h` read backwards.
pub fn flag_macros(text: &str) -> HashMap<String, Vec<String>> {
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
pub fn definitions(
    host: &Host,
    flag_macros: &HashMap<String, Vec<String>>,
) -> Result<Vec<Definition>> {
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
