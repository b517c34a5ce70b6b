//! The configuration of a test server: built from parts, or one that exists as a file.
//!
//! Used by tests and by the demo to describe a server before [`crate::host::Kamailio::start`]
//! writes it into the server's directory. Knows Kamailio's file format and nothing of processes,
//! except for `kamailio -c`, which only reads the file.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{SERVER, script};

/// Which language the routes are written in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Engine {
    Native,
    Lua,
    Python,
}

/// How the server is run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Launch {
    /// Several processes, the main one a child of ours.
    Foreground,
    /// `fork=no`: one process does everything.
    SingleProcess,
    /// A daemon that gives up its rights and becomes this user.
    Daemon { user: &'static str },
}

/// Everything that a server is started with.
#[derive(Clone)]
pub struct Config {
    listen: Vec<String>,
    workers: u32,
    with_module: bool,
    engine: Engine,
    pub(super) launch: Launch,
    extra: Vec<String>,
    parameters: Vec<String>,
    route: Option<String>,
    panicking: bool,
    memory: u32,
    memory_manager: Option<&'static str>,
    file: Option<(PathBuf, Vec<String>)>,
    pub(super) environment: Vec<(String, String)>,
}

impl Config {
    /// A server with the module and the route that answers calls of its functions
    /// ([`super::Client::call`]): one UDP worker on [`SERVER`], so that requests keep their order.
    pub fn new() -> Self {
        Self {
            listen: vec![format!("udp:{SERVER}:5060"), format!("tcp:{SERVER}:5060")],
            workers: 1,
            with_module: true,
            engine: Engine::Native,
            launch: Launch::Foreground,
            extra: Vec::new(),
            parameters: Vec::new(),
            route: None,
            panicking: false,
            memory: 32,
            memory_manager: None,
            file: None,
            environment: Vec::new(),
        }
    }

    /// The same server without the module, to try the harness itself.
    pub fn stock() -> Self {
        let mut config = Self::new();
        config.with_module = false;
        config.route("    sl_send_reply(\"200\", \"rc 1\");\n")
    }

    /// A configuration file as it is, with `-A` definitions (`NAME=value`). It has to listen on
    /// whatever the command line says and to leave the control socket to the definition `CTL`.
    pub fn of_file(path: impl Into<PathBuf>, defines: &[&str]) -> Self {
        let mut config = Self::new();
        let defines = defines.iter().map(|define| (*define).to_owned()).collect();
        config.file = Some((path.into(), defines));
        config
    }

    /// `modparam("sec", name, value)`; a number is written as one, a string in quotes.
    pub fn param(mut self, name: &str, value: impl Into<Value>) -> Self {
        let value = match value.into() {
            Value::Number(number) => number.to_string(),
            Value::Text(text) => format!("\"{text}\""),
        };
        self.parameters
            .push(format!("modparam(\"sec\", \"{name}\", {value})\n"));
        self
    }

    /// Listens on `address` alone: a second server beside the first.
    pub fn at(mut self, address: &str) -> Self {
        self.listen = vec![format!("udp:{address}:5060")];
        self
    }

    /// One more listening address, such as `udp:[2001:db8::10]:5060`.
    pub fn listen(mut self, address: &str) -> Self {
        self.listen.push(address.to_owned());
        self
    }

    /// So many workers for every UDP address.
    pub fn workers(mut self, workers: u32) -> Self {
        self.workers = workers;
        self
    }

    /// Lines before the request route: modules, event routes, global settings.
    pub fn extra(mut self, lines: &str) -> Self {
        self.extra.push(format!("{lines}\n"));
        self
    }

    /// The body of the request route instead of the one that calls functions.
    pub fn route(mut self, body: &str) -> Self {
        self.route = Some(body.to_owned());
        self
    }

    pub fn engine(mut self, engine: Engine) -> Self {
        self.engine = engine;
        self
    }

    pub fn launch(mut self, launch: Launch) -> Self {
        self.launch = launch;
        self
    }

    /// The build of the module that exports `sec_test_panic()`.
    pub fn panicking(mut self) -> Self {
        self.panicking = true;
        self
    }

    /// A variable of the environment in which it runs.
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Shared memory for Kamailio itself, in megabytes.
    pub fn memory(mut self, megabytes: u32) -> Self {
        self.memory = megabytes;
        self
    }

    /// The memory manager of `-x`; without it the one that Kamailio was built with.
    pub fn memory_manager(mut self, name: &'static str) -> Self {
        self.memory_manager = Some(name);
        self
    }

    /// What `kamailio -c` says about it.
    pub fn check(&self) -> Check {
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        let arguments = self.write(directory.path());
        let done = Command::new("kamailio")
            .arg("-c")
            .args(arguments)
            .output()
            .expect("kamailio can be run");
        Check {
            accepted: done.status.success(),
            log: String::from_utf8_lossy(&done.stderr).into_owned()
                + &String::from_utf8_lossy(&done.stdout),
        }
    }

    /// Writes the configuration into `directory`; the command line that uses it.
    pub(super) fn write(&self, directory: &Path) -> Vec<String> {
        let ours = directory.join("modules");
        fs::create_dir_all(&ours).expect("the directory for the module can be made");
        if self.with_module {
            let built = module_file(self.panicking);
            symlink(&built, ours.join("sec.so")).expect("the module can be linked to");
        }
        let mut arguments = vec![
            "-L".to_owned(),
            format!("{}:{}", stock_modules().display(), ours.display()),
            "-Y".to_owned(),
            directory.display().to_string(),
        ];
        let file = match &self.file {
            Some((path, defines)) => {
                for address in &self.listen {
                    arguments.extend(["-l".to_owned(), address.clone()]);
                }
                let ctl = format!("CTL=\"unix:{}\"", control_socket(directory).display());
                for define in defines.iter().chain([&ctl]) {
                    arguments.extend(["-A".to_owned(), define.clone()]);
                }
                path.clone()
            }
            None => {
                let file = directory.join("kamailio.cfg");
                fs::write(&file, self.text(directory)).expect("the configuration can be written");
                file
            }
        };
        arguments.extend(["-m".to_owned(), self.memory.to_string()]);
        if let Some(name) = self.memory_manager {
            arguments.extend(["-x".to_owned(), name.to_owned()]);
        }
        arguments.extend(["-f".to_owned(), file.display().to_string()]);
        arguments
    }

    fn text(&self, directory: &Path) -> String {
        let mut text = format!(
            "#!KAMAILIO\ndebug=2\nlog_stderror={}\nchildren={}\ntcp_children=1\n\
             tcp_accept_no_cl=yes\nauto_aliases=no\nserver_header=\"\"\n",
            if matches!(self.launch, Launch::Daemon { .. }) {
                "no"
            } else {
                "yes"
            },
            self.workers,
        );
        for address in &self.listen {
            text += &format!("listen={address}\n");
        }
        let mut modules = vec!["kex", "corex", "pv", "sl", "textops", "xlog", "ctl"];
        if self.with_module {
            modules.push("sec");
        }
        modules.extend(match self.engine {
            Engine::Native => ["xhttp", "jsonrpcs"].as_slice(),
            Engine::Lua => &["app_lua"],
            Engine::Python => &["app_python3"],
        });
        for module in modules {
            text += &format!("loadmodule \"{module}.so\"\n");
        }
        text += &format!(
            "modparam(\"ctl\", \"binrpc\", \"unix:{}\")\n",
            control_socket(directory).display()
        );
        text += &self.parameters.concat();
        text += &self.extra.concat();
        text + &self.routes(directory)
    }

    fn routes(&self, directory: &Path) -> String {
        let (module, name, suffix, script) = match self.engine {
            Engine::Native => {
                let route = self
                    .route
                    .clone()
                    .unwrap_or_else(|| script::native(self.panicking));
                return format!(
                    "modparam(\"jsonrpcs\", \"transport\", 1)\n\
                     request_route {{\n{route}}}\n\
                     event_route[xhttp:request] {{\n    jsonrpc_dispatch();\n}}\n"
                );
            }
            Engine::Lua => ("app_lua", "lua", "lua", script::lua()),
            Engine::Python => ("app_python3", "python", "py", script::python()),
        };
        let file = directory.join(format!("script.{suffix}"));
        fs::write(&file, script).expect("the script can be written");
        format!(
            "modparam(\"{module}\", \"load\", \"{}\")\ncfgengine \"{name}\"\n",
            file.display()
        )
    }
}

/// The value of a parameter as it stands in the file.
pub enum Value {
    Number(i64),
    Text(String),
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Number(number)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<&Path> for Value {
    fn from(path: &Path) -> Self {
        Self::Text(path.display().to_string())
    }
}

/// The answer of `kamailio -c`.
#[derive(Debug)]
pub struct Check {
    pub accepted: bool,
    pub log: String,
}

/// Where the control socket of a server in `directory` is.
pub(super) fn control_socket(directory: &Path) -> PathBuf {
    directory.join("ctl")
}

/// The module to test: `SEC_SO` (for the build that panics on purpose `SEC_FAULT_SO`), or else the
/// one that cargo built with this program.
pub fn module_file(panicking: bool) -> PathBuf {
    let variable = if panicking { "SEC_FAULT_SO" } else { "SEC_SO" };
    if let Some(path) = std::env::var_os(variable) {
        return PathBuf::from(path);
    }
    let program = std::env::current_exe().expect("this program has a path");
    let profile = program
        .ancestors()
        .nth(2)
        .expect("it lies in target/<profile>/<kind>");
    let target = profile.parent().expect("the profile lies in target");
    let path = if panicking {
        target.join("fault").join("release").join("libsec.so")
    } else {
        profile.join("deps").join("libsec.so")
    };
    assert!(
        path.exists(),
        "{} does not exist: build it with `make`, or name another in {variable}",
        path.display()
    );
    path
}

/// Kamailio's own modules: what it says itself, so that any installation works.
fn stock_modules() -> PathBuf {
    let help = Command::new("kamailio").arg("-h").output();
    let help = help.expect("kamailio can be run").stdout;
    let help = String::from_utf8_lossy(&help).into_owned();
    let (_, after) = help
        .split_once("Modules search path (default: ")
        .expect("`kamailio -h` names its modules' directory");
    PathBuf::from(after.split(')').next().unwrap_or_default())
}
