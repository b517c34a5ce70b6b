//! Processes: those that Kamailio starts, those that we fork from it, and their signals.
//!
//! `module.rs` uses it to have the supervisor started, the supervisor to run its own child. The
//! death of a process that Kamailio knows stops the server, so what runs there never returns by
//! accident. Never starts a thread.

use std::ffi::{CStr, c_int};
use std::io;
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

use super::entry::guard;
use super::sys;

/// What a process is for, as Kamailio tells `child_init`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rank {
    /// Still the only process: the last chance before the first fork.
    Init,
    /// The main process, after the SIP workers over UDP were forked: the place to fork our own.
    Main,
    /// A process that executes the script for messages; numbered from one. With `fork=no` it is
    /// the main process itself.
    Worker(u32),
    /// A timer process.
    Timer,
    /// A process that answers commands, or an event process.
    Rpc,
    /// The process that hands connections to the TCP workers.
    TcpMain,
    /// Any other.
    Other(i32),
}

impl From<c_int> for Rank {
    fn from(rank: c_int) -> Rank {
        const MAIN: c_int = sys::PROC_MAIN as c_int;
        match rank {
            MAIN => Rank::Main,
            sys::PROC_INIT => Rank::Init,
            sys::PROC_TIMER => Rank::Timer,
            sys::PROC_RPC => Rank::Rpc,
            sys::PROC_TCP_MAIN => Rank::TcpMain,
            1.. => Rank::Worker(rank.unsigned_abs()),
            other => Rank::Other(other),
        }
    }
}

/// A process id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pid(pub i32);

/// This process.
pub fn own_pid() -> Pid {
    // SAFETY: It has no preconditions and cannot fail.
    Pid(unsafe { libc::getpid() })
}

/// The process that forked this one, or whoever inherited it.
pub fn parent_pid() -> Pid {
    // SAFETY: It has no preconditions and cannot fail.
    Pid(unsafe { libc::getppid() })
}

/// The place of this process in Kamailio's process table, where the core keeps it.
pub fn number() -> &'static AtomicI32 {
    // SAFETY: The variable lives as long as the process, and is written by the fork alone that
    // makes a process, before anything of ours runs there.
    unsafe { AtomicI32::from_ptr(&raw mut sys::process_no) }
}

/// Announces `count` processes that [`start`] will fork, each with a Kamailio configuration of its
/// own. Only in `mod_init`. Every announced process must be started and must call
/// [`follow_configuration`] now and then, or changes at run time wait for it.
pub fn announce(count: u16) -> Result<(), String> {
    // SAFETY: It only counts, in the main process before the process table is made.
    if unsafe { sys::register_procs(c_int::from(count.cast_signed())) } < 0 {
        return Err(format!("Kamailio has no room for {count} more processes"));
    }
    // SAFETY: It only counts, too.
    unsafe { sys::cfg_register_child(c_int::from(count.cast_signed())) };
    Ok(())
}

/// What a started process gets from Kamailio.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setup {
    /// Only an entry in the process table.
    Bare,
    /// `child_init` of all modules, so that it can run routes, and a channel to the TCP workers.
    Script,
}

/// Forks a process that Kamailio knows and `core.psx` shows. Only in `child_init` of
/// [`Rank::Main`]. In the child, `run` is called and its result is the exit status; it should not
/// return before the server stops. A panic in it ends the process with status 70.
pub fn start(name: &CStr, setup: Setup, run: impl FnOnce() -> i32) -> Result<Pid, String> {
    let (rank, with_socket) = match setup {
        Setup::Bare => (sys::PROC_NOCHLDINIT, 0),
        Setup::Script => (sys::PROC_RPC, 1),
    };
    // SAFETY: The core copies the name, and this is the main process with its one thread.
    match unsafe { sys::fork_process(rank, name.as_ptr().cast_mut(), with_socket) } {
        0 => {
            // SAFETY: It prepares the configuration of this new process, once.
            let prepared = unsafe { sys::cfg_child_init() } == 0;
            exit(if prepared { guard(70, run) } else { 71 })
        }
        pid if pid > 0 => Ok(Pid(pid)),
        _ => Err(format!(
            "cannot fork the process {}",
            name.to_string_lossy()
        )),
    }
}

/// Takes over what an operator changed in Kamailio's configuration at run time.
pub fn follow_configuration() {
    // SAFETY: It works on the configuration of this process, which `start` has prepared.
    unsafe { sys::sec_cfg_update() };
}

/// The two sides of a fork.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fork {
    /// The process that called; the new one is this.
    Parent(Pid),
    /// The new process.
    Child,
}

/// Forks a process that Kamailio does not know and does not reap: only from a process of our own.
pub fn fork() -> io::Result<Fork> {
    // SAFETY: Kamailio's processes have one thread, so the child is in a consistent state.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(Fork::Child),
        pid => Ok(Fork::Parent(Pid(pid))),
    }
}

/// Ends this process at once, without exit handlers: they belong to the main process.
pub fn exit(status: i32) -> ! {
    // SAFETY: It has no preconditions.
    unsafe { libc::_exit(status) }
}

/// What has become of a child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It runs.
    Running,
    /// It ended by itself, with this status.
    Exited(i32),
    /// A signal ended it.
    Killed(i32),
    /// It is not a child of this process, or was asked about before.
    Unknown,
}

/// Asks after a child without waiting.
pub fn fate(child: Pid) -> Fate {
    let mut status = 0;
    // SAFETY: `status` is a valid place to write to.
    match unsafe { libc::waitpid(child.0, &raw mut status, libc::WNOHANG) } {
        0 => Fate::Running,
        pid if pid == child.0 && libc::WIFEXITED(status) => Fate::Exited(libc::WEXITSTATUS(status)),
        pid if pid == child.0 && libc::WIFSIGNALED(status) => Fate::Killed(libc::WTERMSIG(status)),
        pid if pid == child.0 => Fate::Running,
        _ => Fate::Unknown,
    }
}

/// Asks a process to end.
pub fn terminate(child: Pid) {
    signal_process(child, libc::SIGTERM);
}

/// Ends a process.
pub fn kill(child: Pid) {
    signal_process(child, libc::SIGKILL);
}

fn signal_process(child: Pid, signal: c_int) {
    if child.0 > 0 {
        // SAFETY: It has no memory effects; a positive number is one process, never a group.
        unsafe { libc::kill(child.0, signal) };
    }
}

/// Set by the handler; read by whoever should end.
static STOPPING: AtomicBool = AtomicBool::new(false);
/// Who is told, too; zero is nobody.
static FORWARD_TO: AtomicI32 = AtomicI32::new(0);

/// From now on SIGTERM and SIGINT do not end this process: they make [`stopping`] true and go on
/// to the child that [`forward_stop_to`] named. Kamailio's own handler would end it at once.
pub fn catch_stop() {
    STOPPING.store(false, Ordering::Relaxed);
    for signal in [libc::SIGTERM, libc::SIGINT] {
        set_handler(signal, on_stop as *const () as libc::sighandler_t);
    }
}

/// Puts SIGTERM and SIGCHLD back to the system's defaults, and ignores what operators send to all of
/// Kamailio's processes at once (SIGINT, SIGHUP, SIGUSR1, SIGUSR2) as well as SIGPIPE: for a process
/// that is not Kamailio's any more. What it runs inherits that, so a Ctrl-C does not cut it short.
/// Ends the process when a stop has come before: it was caught by the handler that is taken away
/// here, and would be lost.
pub fn forget_signals() {
    for signal in [libc::SIGTERM, libc::SIGCHLD] {
        set_handler(signal, libc::SIG_DFL);
    }
    let ignored = [
        libc::SIGINT,
        libc::SIGHUP,
        libc::SIGUSR1,
        libc::SIGUSR2,
        libc::SIGPIPE,
    ];
    for signal in ignored {
        set_handler(signal, libc::SIG_IGN);
    }
    FORWARD_TO.store(0, Ordering::Relaxed);
    if stopping() {
        exit(0);
    }
}

/// Names the child that hears of a stop as well; none for nobody.
pub fn forward_stop_to(child: Option<Pid>) {
    FORWARD_TO.store(child.map_or(0, |pid| pid.0), Ordering::Relaxed);
    if let (Some(child), true) = (child, stopping()) {
        // The signal came between fork and here: the handler had nobody to tell.
        terminate(child);
    }
}

/// Whether SIGTERM or SIGINT came since [`catch_stop`].
pub fn stopping() -> bool {
    STOPPING.load(Ordering::Relaxed)
}

extern "C" fn on_stop(_signal: c_int) {
    STOPPING.store(true, Ordering::Relaxed);
    let child = FORWARD_TO.load(Ordering::Relaxed);
    if child > 0 {
        // SAFETY: `kill` may be called in a signal handler, and the number is one process. It
        // leaves `errno` as the interrupted code expects it only on success; on failure the child
        // is gone, and no caller of ours reads `errno` across an interruption.
        unsafe { libc::kill(child, libc::SIGTERM) };
    }
}

fn set_handler(signal: c_int, handler: libc::sighandler_t) {
    // SAFETY: The structure is plain data for which zero is valid, and the handler is either a
    // system constant or `on_stop`, which does only what a handler may do. Without SA_RESTART a
    // wait ends when the signal comes.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handler;
        libc::sigemptyset(&raw mut action.sa_mask);
        libc::sigaction(signal, &raw const action, std::ptr::null_mut());
    }
}

/// Has the kernel kill this process when its parent dies. False when the parent is gone already:
/// then this process should end.
pub fn die_with(parent: Pid) -> bool {
    // SAFETY: It takes a signal number and has no memory effects.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
    parent_pid() == parent
}

/// Closes every descriptor from 3 up but the given ones: the sockets and pipes of Kamailio are
/// not ours, and a copy that is kept keeps them open after Kamailio closed them.
///
/// The C library's connection to the system log is opened anew at the next line: it must not take
/// whatever gets its old number for it.
pub fn close_others(keep: &[RawFd]) {
    // SAFETY: The name is a constant that outlives the process, as `openlog` wants it.
    unsafe {
        libc::closelog();
        libc::openlog(
            c"kamailio".as_ptr(),
            libc::LOG_PID | libc::LOG_CONS,
            libc::LOG_DAEMON,
        );
    }
    let mut keep: Vec<RawFd> = keep.iter().copied().filter(|fd| *fd > 2).collect();
    keep.sort_unstable();
    let mut first = 3;
    for fd in keep {
        close_range(first, fd - 1);
        first = fd + 1;
    }
    close_range(first, c_int::MAX);
}

fn close_range(first: c_int, last: c_int) {
    if last < first {
        return;
    }
    // SAFETY: The caller is a process of our own that no longer uses these descriptors.
    let closed = unsafe {
        libc::syscall(
            libc::SYS_close_range,
            first.unsigned_abs(),
            last.unsigned_abs(),
            0,
        )
    };
    if closed == 0 {
        return;
    }
    // A kernel before 5.9: one by one, as far as descriptors can go.
    // SAFETY: It reads a limit.
    let limit = unsafe { libc::sysconf(libc::_SC_OPEN_MAX) };
    let limit = c_int::try_from(limit)
        .unwrap_or(c_int::MAX)
        .clamp(1024, 1 << 20);
    for fd in first..=last.min(limit) {
        // SAFETY: As above; closing one that is not open does nothing.
        unsafe { libc::close(fd) };
    }
}

#[cfg(test)]
mod tests {
    use super::Rank;

    #[test]
    fn ranks_have_names() {
        let ranks = [0, -127, 1, 127, -1, -2, -4, -10].map(Rank::from);
        let expected = [
            Rank::Main,
            Rank::Init,
            Rank::Worker(1),
            Rank::Worker(127),
            Rank::Timer,
            Rank::Rpc,
            Rank::TcpMain,
            Rank::Other(-10),
        ];
        assert_eq!(ranks, expected);
    }
}
