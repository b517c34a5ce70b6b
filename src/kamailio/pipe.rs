//! A pipe for records between processes: nobody waits to write, and no record is torn.
//!
//! Made in `mod_init`, inherited by every process. Workers write, the agent (or the event process)
//! reads. A full pipe means that the record is dropped and counted by the writer; the kernel cleans
//! up after a process that was killed, which a ring in shared memory could not promise.

use std::ffi::c_int;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd, RawFd};

/// The longest record that the kernel writes in one piece.
pub const RECORD_MAX: usize = libc::PIPE_BUF;

/// Both ends, as plain numbers: every process inherits them and may use its end at any time.
/// They are never closed; they end with the server.
#[derive(Clone, Copy, Debug)]
pub struct Pipe {
    read: RawFd,
    write: RawFd,
}

/// Why a record was not written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dropped {
    /// The reader is behind.
    Full,
    /// Longer than [`RECORD_MAX`].
    TooLong,
    /// No process has the read end open, or the descriptor is gone.
    Closed,
}

impl Pipe {
    /// Makes a pipe that never blocks. `exec` closes both ends, `fork` does not.
    pub fn new() -> io::Result<Pipe> {
        let mut ends: [c_int; 2] = [-1; 2];
        // SAFETY: The array has room for the two numbers.
        match unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_NONBLOCK | libc::O_CLOEXEC) } {
            0 => Ok(Pipe {
                read: ends[0],
                write: ends[1],
            }),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// Writes one record, in one piece or not at all, without waiting: one system call.
    pub fn send(&self, record: &[u8]) -> Result<(), Dropped> {
        if record.len() > RECORD_MAX {
            return Err(Dropped::TooLong);
        }
        loop {
            // SAFETY: The pointer and the length are those of one slice.
            if unsafe { libc::write(self.write, record.as_ptr().cast(), record.len()) } >= 0 {
                return Ok(());
            }
            match io::Error::last_os_error().kind() {
                io::ErrorKind::Interrupted => {}
                io::ErrorKind::WouldBlock => return Err(Dropped::Full),
                _ => return Err(Dropped::Closed),
            }
        }
    }

    /// Reads what is there, whole records if the buffer is a multiple of their length. Zero bytes
    /// mean that no writer is left; none at the moment is an error of kind `WouldBlock`.
    pub fn receive(&self, buffer: &mut [u8]) -> io::Result<usize> {
        // SAFETY: The pointer and the length are those of one slice.
        let count = unsafe { libc::read(self.read, buffer.as_mut_ptr().cast(), buffer.len()) };
        usize::try_from(count).map_err(|_| io::Error::last_os_error())
    }

    /// A copy of the read end, for an event loop that owns what it watches.
    pub fn reader(&self) -> io::Result<OwnedFd> {
        // SAFETY: The end is open as long as the process runs.
        unsafe { BorrowedFd::borrow_raw(self.read) }.try_clone_to_owned()
    }

    /// The end of the reader, for its list of descriptors to keep.
    pub fn read_end(&self) -> RawFd {
        self.read
    }

    /// The end of a writer, likewise.
    pub fn write_end(&self) -> RawFd {
        self.write
    }

    /// Waits until something can be read, at most so many milliseconds; a signal ends the wait
    /// early. True when there is something.
    pub fn wait(&self, milliseconds: u16) -> bool {
        let mut poll = libc::pollfd {
            fd: self.read,
            events: libc::POLLIN,
            revents: 0,
        };
        // SAFETY: One structure is passed, and its number is one.
        unsafe { libc::poll(&raw mut poll, 1, c_int::from(milliseconds)) > 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A pipe that is closed with the test that made it.
    struct Ends(Pipe);

    impl Drop for Ends {
        fn drop(&mut self) {
            // SAFETY: The test that made the pipe is its only user.
            unsafe {
                libc::close(self.0.read);
                libc::close(self.0.write);
            }
        }
    }

    #[test]
    fn records_arrive_whole_and_a_full_pipe_says_so() {
        let ends = Ends(Pipe::new().unwrap());
        let pipe = ends.0;
        assert!(!pipe.wait(0));
        let record = [7_u8; 256];
        let mut written = 0;
        let refused = loop {
            match pipe.send(&record) {
                Ok(()) => written += 1,
                Err(dropped) => break dropped,
            }
        };
        assert_eq!(refused, Dropped::Full);
        assert!(written > 0 && pipe.wait(0));
        let mut buffer = [0_u8; 256];
        for _ in 0..written {
            assert_eq!(pipe.receive(&mut buffer).unwrap(), 256);
            assert_eq!(buffer, record);
        }
        assert_eq!(
            pipe.receive(&mut buffer).unwrap_err().kind(),
            io::ErrorKind::WouldBlock
        );
    }

    #[test]
    fn a_record_that_could_be_torn_is_refused() {
        let ends = Ends(Pipe::new().unwrap());
        assert_eq!(ends.0.send(&[0; RECORD_MAX + 1]), Err(Dropped::TooLong));
    }
}
