//! A real carbon, Graphite's receiver and store, in the test's own network: started by the test in
//! a directory of its own and stopped by its process id.

use std::fs;
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::wait_until;

/// What Debian's `graphite-carbon` installs.
const PROGRAM: &str = "/usr/bin/carbon-cache";

/// A carbon that takes lines at 127.0.0.1:2003.
pub struct Carbon {
    directory: TempDir,
    child: Child,
}

impl Carbon {
    /// Starts one that keeps a value each second for an hour.
    pub fn start() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        let path = directory.path();
        let own = path.display();
        let settings = format!(
            "[cache]\nSTORAGE_DIR = {own}\nCONF_DIR = {own}\nLOCAL_DATA_DIR = {own}/whisper\n\
             LOG_DIR = {own}\nPID_DIR = {own}\nUSER =\nMAX_CREATES_PER_MINUTE = inf\n\
             MAX_UPDATES_PER_SECOND = inf\nLINE_RECEIVER_INTERFACE = 127.0.0.1\n\
             LINE_RECEIVER_PORT = 2003\nPICKLE_RECEIVER_INTERFACE = 127.0.0.1\n\
             PICKLE_RECEIVER_PORT = 2004\nCACHE_QUERY_INTERFACE = 127.0.0.1\n\
             CACHE_QUERY_PORT = 7002\nENABLE_TAGS = False\nWHISPER_AUTOFLUSH = True\n"
        );
        let schemas = "[all]\npattern = .*\nretentions = 1s:1h\n";
        for (name, text) in [
            ("carbon.conf", &*settings),
            ("storage-schemas.conf", schemas),
        ] {
            fs::write(path.join(name), text).expect("it can be written");
        }
        let child = spawn(&directory);
        let carbon = Self { directory, child };
        carbon.wait();
        carbon
    }

    fn wait(&self) {
        wait_until("carbon to listen", || {
            TcpStream::connect("127.0.0.1:2003").is_ok()
        });
    }

    /// Ends it as a power cut does.
    pub fn kill(&mut self) {
        let _gone = self.child.kill();
        self.child.wait().expect("the child can be waited for");
    }

    /// Starts it again with what it had kept.
    pub fn restart(&mut self) {
        // It refuses to start while the file of the one before is there.
        let _absent = fs::remove_file(self.directory.path().join("carbon-cache-a.pid"));
        self.child = spawn(&self.directory);
        self.wait();
    }

    /// The last value of a metric that it has written to its store.
    pub fn last(&self, metric: &str) -> Option<f64> {
        let mut file: PathBuf = self.directory.path().join("whisper");
        file.extend(metric.split('.'));
        file.set_extension("wsp");
        if !file.exists() {
            return None;
        }
        let done = Command::new("whisper-fetch")
            .arg(file)
            .stderr(Stdio::null())
            .output()
            .expect("whisper-fetch can be run");
        let text = String::from_utf8_lossy(&done.stdout).into_owned();
        let values = text.lines().filter_map(|line| line.split_once('\t'));
        values
            .filter_map(|(_, value)| value.trim().parse().ok())
            .next_back()
    }
}

fn spawn(directory: &TempDir) -> Child {
    Command::new(PROGRAM)
        .arg("--config")
        .arg(directory.path().join("carbon.conf"))
        .args(["--nodaemon", "start"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("carbon-cache can be run: install graphite-carbon")
}

impl Drop for Carbon {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}
