//! Forked processes for tests: what Kamailio's workers are to the tables. And threads in their
//! place, because ThreadSanitizer follows no memory from one process to another. Only in test builds.

/// What one of several does that work at once.
pub type Body = Box<dyn Fn() + Send>;

/// Runs all of them at once, each in a process of its own.
///
/// # Panics
/// When one of them does.
pub fn in_processes(bodies: Vec<Body>) {
    let mut forks = Forks::default();
    let expected = vec![0; bodies.len()];
    for body in bodies {
        forks.start(body);
    }
    assert_eq!(forks.join(), expected);
}

/// Runs all of them at once, each in a thread of its own.
///
/// # Panics
/// When one of them does.
pub fn in_threads(bodies: Vec<Body>) {
    let threads: Vec<_> = bodies.into_iter().map(std::thread::spawn).collect();
    for thread in threads {
        thread.join().expect("none of them panics");
    }
}

/// Children that share this process' mappings; killed and reaped when dropped.
#[derive(Default)]
pub struct Forks {
    children: Vec<Child>,
}

struct Child {
    pid: libc::pid_t,
    body: Box<dyn Fn()>,
}

impl Forks {
    /// Forks a child that runs `body` and exits with 0, or with 101 if it panics.
    pub fn start(&mut self, body: impl Fn() + 'static) {
        let body: Box<dyn Fn()> = Box::new(body);
        let pid = fork(&body);
        self.children.push(Child { pid, body });
    }

    /// Lets child `index` run for so many microseconds and kills it. `Some(code)` if it had
    /// exited by itself with that code.
    pub fn killed_after_us(&mut self, index: usize, micros: u64) -> Option<i32> {
        std::thread::sleep(std::time::Duration::from_micros(micros));
        end(self.children[index].pid)
    }

    /// Starts child `index` anew.
    pub fn restart(&mut self, index: usize) {
        self.children[index].pid = fork(&self.children[index].body);
    }

    /// Waits for all children to exit by themselves; their exit codes.
    pub fn join(&mut self) -> Vec<i32> {
        self.children
            .drain(..)
            .map(|child| wait(child.pid).unwrap_or(-1))
            .collect()
    }

    /// Kills what still runs.
    pub fn stop(&mut self) {
        for child in self.children.drain(..) {
            end(child.pid);
        }
    }
}

impl Drop for Forks {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Ends a child at once with this code.
pub fn leave(code: i32) -> ! {
    // SAFETY: ends the child without running the parent's exit handlers.
    unsafe { libc::_exit(code) }
}

fn fork(body: &dyn Fn()) -> libc::pid_t {
    // SAFETY: the child runs test code on its copy of this thread and leaves by `_exit`, so no
    // lock or destructor of the parent's other threads is needed in it.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0, "fork failed");
    if pid == 0 {
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(body));
        leave(if outcome.is_ok() { 0 } else { 101 })
    }
    pid
}

fn end(pid: libc::pid_t) -> Option<i32> {
    // SAFETY: a signal to our own child, which has not been waited for.
    unsafe { libc::kill(pid, libc::SIGKILL) };
    wait(pid)
}

/// The exit code; `None` if a signal ended it.
fn wait(pid: libc::pid_t) -> Option<i32> {
    let mut status = 0;
    // SAFETY: waits for our own child; the status is ours to be written.
    unsafe { libc::waitpid(pid, &mut status, 0) };
    libc::WIFEXITED(status).then(|| libc::WEXITSTATUS(status))
}
