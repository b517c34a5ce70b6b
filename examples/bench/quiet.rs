//! What a check does not do: system calls and allocations of a SIP worker while it decides, counted
//! by `strace` and by a library that counts the calls of `malloc` and its kin.

use std::fs;
use std::process::{Command, Stdio};

use nix::sys::signal::Signal;

use super::host::process;
use super::host::{Client, Config, Kamailio, Request, SERVER, isolate, wait_until};
use super::loops::Loop;
use super::report::Row;

const TURNS: usize = 10_000;
/// Processes that are told apart, by the end of their number.
const PLACES: usize = 4096;

/// Counts, by process, in a file that all of them map.
const COUNTER: &str = r#"
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
static unsigned long *counts;
__attribute__((constructor)) static void begin(void) {
    int file = open(getenv("ALLOCATIONS"), O_RDWR);
    void *page = mmap(0, 4096 * sizeof *counts, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (page != MAP_FAILED) counts = page;
    close(file);
}
static void count(void) { if (counts) __atomic_fetch_add(&counts[getpid() & 4095], 1, 0); }
void *malloc(size_t size) { count(); return __libc_malloc(size); }
void *calloc(size_t number, size_t size) { count(); return __libc_calloc(number, size); }
void *realloc(void *old, size_t size) { count(); return __libc_realloc(old, size); }
"#;

pub fn measure() -> Vec<Row> {
    isolate();
    let folder = tempfile::tempdir().expect("a folder can be made");
    let counts = folder.path().join("counts");
    fs::write(&counts, [0; PLACES * 8]).expect("the counts can be written");
    let library = folder.path().join("counter.so");
    build(folder.path().join("counter.c"), &library);
    let hosts = |id: &str, net: &str| {
        Loop::over_hosts(id, id, &format!("sec_check(\"{net}.{{}}\");"), TURNS)
    };
    let loops = [
        Loop::of("empty", "empty", "", TURNS),
        hosts("allowed", "10.1.0"),
        hosts("banned", "10.2.0"),
        hosts("limited", "10.3.0"),
    ];
    let route: String = loops.iter().map(Loop::script).collect();
    let config = Config::new()
        .param("rate", "name=burst;limit=4000000000;window=1d")
        // The second call in a day is too many.
        .param(
            "rate",
            "name=calls;limit=1;window=1d;count=INVITE;action=limit",
        )
        .extra("max_while_loops=100000000")
        .variable("LD_PRELOAD", &library.display().to_string())
        .variable("ALLOCATIONS", &counts.display().to_string())
        .route(&(route + "sl_send_reply(\"200\", \"OK\");\n"));
    let server = Kamailio::start(config);
    for host in 1..=10 {
        let done = server.kamcmd(&["sec.ban", &format!("10.2.0.{host}"), "3600"]);
        assert!(done.is_ok(), "{done:?}");
    }
    let worker = worker(&server);
    let mut rows = Vec::new();
    let mut empty = (0.0, 0.0);
    for each in &loops {
        ask(each); // the first time, a process may need something
        let (before, calls) = (count(&counts, worker), strace(&server, worker, each));
        let after = count(&counts, worker);
        let allocations = (after - before) as f64;
        if each.name == "empty" {
            empty = (calls, allocations);
            continue;
        }
        let mut row = |what: &str, value: f64| {
            let name = format!("{what} of {TURNS} checks, {}", each.name);
            rows.push(Row::new("What a check does not do", &name, "", vec![value]));
        };
        row("system calls", calls - empty.0);
        row("allocations", allocations - empty.1);
    }
    server.stop();
    rows
}

fn build(source: std::path::PathBuf, library: &std::path::Path) {
    fs::write(&source, COUNTER).expect("the source can be written");
    let built = Command::new("cc")
        .args(["-shared", "-fPIC", "-O1", "-o"])
        .arg(library)
        .arg(&source)
        .status();
    assert!(built.is_ok_and(|status| status.success()), "cc builds it");
}

/// The process that answers over UDP.
fn worker(server: &Kamailio) -> i32 {
    let listed = server
        .kamcmd(&["core.psx"])
        .expect("it lists its processes");
    let mut pid = None;
    for line in listed.lines() {
        if let Some(number) = line.trim().strip_prefix("PID: ") {
            pid = number.trim().parse().ok();
        } else if line.contains("udp receiver") {
            break;
        }
    }
    pid.expect("there is a worker")
}

fn ask(each: &Loop) {
    let mut client = Client::udp("10.255.0.1");
    let method = match each.id.as_str() {
        "limited" => "INVITE",
        _ => "OPTIONS",
    };
    let request = Request::new(method, &format!("sip:{}@{SERVER}", each.id));
    assert_eq!(client.ask(&request).code(), 200);
}

fn count(counts: &std::path::Path, process: i32) -> u64 {
    let bytes = fs::read(counts).expect("the counts can be read");
    let words = bytes.as_chunks::<8>().0;
    u64::from_le_bytes(words[process as usize % PLACES])
}

/// System calls of a process while it runs a loop.
fn strace(server: &Kamailio, worker: i32, each: &Loop) -> f64 {
    let output = server.directory().join(format!("strace-{}", each.id));
    let mut tracer = Command::new("strace")
        .args(["-qq", "-p", &worker.to_string(), "-o"])
        .arg(&output)
        .stderr(Stdio::null())
        .spawn()
        .expect("strace can be run");
    wait_until("strace", || traced(worker));
    ask(each);
    process::signal(tracer.id() as i32, Signal::SIGINT);
    let _ended = tracer.wait();
    let text = fs::read_to_string(&output).expect("it has written");
    text.lines().filter(|line| line.contains(") = ")).count() as f64
}

fn traced(pid: i32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let tracer = status
        .lines()
        .find_map(|line| line.strip_prefix("TracerPid:"));
    tracer.is_some_and(|tracer| tracer.trim() != "0")
}
