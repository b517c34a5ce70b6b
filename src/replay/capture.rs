//! Packets from a capture file: classic pcap in both byte orders, with microseconds or nanoseconds,
//! and pcapng.
//!
//! Read by `survey.rs` and `mod.rs` of the replay, packet by packet, with one buffer. A file that
//! ends in the middle of a packet, or stops making sense, is read up to there; then
//! [`Capture::complaint`] says where and why.
//!
//! Formats: draft-ietf-opsawg-pcap and draft-ietf-opsawg-pcapng.
#![forbid(unsafe_code)]

use std::io::{ErrorKind, Read};

/// Longest record or block that makes sense: libpcap's largest snapshot length, and room for a
/// block's options.
const RECORD_MAX: usize = (256 << 10) + (64 << 10);

const BLOCK_SECTION: u32 = 0x0a0d_0d0a;
const BLOCK_INTERFACE: u32 = 1;
const BLOCK_OLD_PACKET: u32 = 2;
const BLOCK_SIMPLE_PACKET: u32 = 3;
const BLOCK_PACKET: u32 = 6;
const BYTE_ORDER: u32 = 0x1a2b_3c4d;
const OPTION_RESOLUTION: u16 = 9;
const OPTION_OFFSET: u16 = 14;

/// One packet as it was captured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    /// Nanoseconds since 1970.
    pub time_ns: u64,
    /// The link type, a number of the tcpdump project's list.
    pub link: u32,
    /// Its bytes, as far as they were kept.
    pub bytes: &'a [u8],
    /// It was longer than that.
    pub cut: bool,
}

/// A capture that is being read.
pub struct Capture<R> {
    input: R,
    format: Format,
    big: bool,
    buffer: Vec<u8>,
    /// Bytes that were read.
    offset: u64,
    packets: u64,
    timeless: u64,
    complaint: Option<String>,
}

enum Format {
    /// One link type for all, and nanoseconds in a unit of the time's fraction.
    Classic { link: u32, unit_ns: u64 },
    /// Each packet names its interface.
    Blocks(Vec<Interface>),
}

#[derive(Clone, Copy)]
struct Interface {
    link: u32,
    resolution: Resolution,
    offset_secs: i64,
}

/// What a unit of an interface's clock is.
#[derive(Clone, Copy)]
enum Resolution {
    Decimal(u32),
    Binary(u32),
}

impl Resolution {
    fn nanoseconds(self, ticks: u64) -> u64 {
        let scaled = u128::from(ticks) * 1_000_000_000;
        let ns = match self {
            Resolution::Decimal(digits) => scaled / 10_u128.pow(digits.min(30)),
            Resolution::Binary(bits) => scaled >> bits.min(127),
        };
        u64::try_from(ns).unwrap_or(u64::MAX)
    }
}

/// Why reading stopped.
enum Stop {
    /// Between two packets: all is well.
    End,
    /// In the middle of one.
    Short,
    Broken(String),
}

impl<R: Read> Capture<R> {
    /// Reads the head of a file.
    ///
    /// # Errors
    /// A sentence: it is no capture.
    pub fn open(input: R) -> Result<Capture<R>, String> {
        let mut capture = Capture {
            input,
            format: Format::Blocks(Vec::new()),
            big: false,
            buffer: Vec::new(),
            offset: 0,
            packets: 0,
            timeless: 0,
            complaint: None,
        };
        let magic = match capture.fill(4) {
            Ok(()) => <[u8; 4]>::try_from(&*capture.buffer).unwrap_or_default(),
            Err(Stop::Broken(error)) => return Err(error),
            Err(_) => return Err("is too short for a capture".into()),
        };
        let units = [(0xa1b2_c3d4, 1000), (0xa1b2_3c4d, 1)];
        for (known, unit_ns) in units {
            for big in [false, true] {
                let number = if big {
                    u32::from_be_bytes(magic)
                } else {
                    u32::from_le_bytes(magic)
                };
                if number == known {
                    capture.big = big;
                    return capture.classic(unit_ns);
                }
            }
        }
        if u32::from_be_bytes(magic) == BLOCK_SECTION {
            return match capture.section() {
                Ok(()) => Ok(capture),
                Err(_) => Err("begins like pcapng, but its first block makes no sense".into()),
            };
        }
        Err(match magic {
            [0x1f, 0x8b, ..] => "is compressed: unpack it with gunzip first".into(),
            [0x28, 0xb5, 0x2f, 0xfd] => "is compressed: unpack it with unzstd first".into(),
            _ => "is no capture: neither pcap nor pcapng".into(),
        })
    }

    fn classic(mut self, unit_ns: u64) -> Result<Capture<R>, String> {
        if self.fill(20).is_err() {
            return Err("ends within the head of the file".into());
        }
        // The upper bits say whether frames end in a checksum.
        let link = self.u32(16) & 0x0fff_ffff;
        self.format = Format::Classic { link, unit_ns };
        Ok(self)
    }

    /// The next packet; none at the end, or where the file stops making sense.
    pub fn next(&mut self) -> Option<Packet<'_>> {
        if self.complaint.is_some() {
            return None;
        }
        let start = self.offset;
        let found = match self.format {
            Format::Classic { link, unit_ns } => self.record(link, unit_ns),
            Format::Blocks(_) => self.block(),
        };
        let (time_ns, link, from, length, cut) = match found {
            Ok(found) => found,
            Err(stop) => {
                self.stop(stop, start);
                return None;
            }
        };
        self.packets += 1;
        let bytes = &self.buffer[from..from + length];
        Some(Packet {
            time_ns,
            link,
            bytes,
            cut,
        })
    }

    /// How many packets were read.
    pub fn packets(&self) -> u64 {
        self.packets
    }

    /// Packets without a time (pcapng's simple blocks), which were left out.
    pub fn timeless(&self) -> u64 {
        self.timeless
    }

    /// Where and why the file could not be read to its end.
    pub fn complaint(&self) -> Option<&str> {
        self.complaint.as_deref()
    }

    fn stop(&mut self, stop: Stop, start: u64) {
        let place = format!("packet {}, at byte {start}", self.packets + 1);
        self.complaint = match stop {
            Stop::End => None,
            Stop::Short => Some(format!("is cut off in the middle of {place}")),
            Stop::Broken(error) => Some(format!("{error} ({place})")),
        };
    }

    /// A record of classic pcap: time, link type, where in the buffer, how long, whether cut.
    fn record(&mut self, link: u32, unit_ns: u64) -> Result<(u64, u32, usize, usize, bool), Stop> {
        self.fill(16)?;
        let (seconds, fraction) = (u64::from(self.u32(0)), u64::from(self.u32(4)));
        let (length, original) = (self.u32(8) as usize, self.u32(12) as usize);
        if length > RECORD_MAX {
            return Err(Stop::Broken(format!(
                "has a packet of {length} bytes: it is damaged"
            )));
        }
        self.fill(length).map_err(mid_packet)?;
        let time_ns = seconds * 1_000_000_000 + fraction * unit_ns;
        Ok((time_ns, link, 0, length, length < original))
    }

    /// The next block of pcapng that holds a packet.
    fn block(&mut self) -> Result<(u64, u32, usize, usize, bool), Stop> {
        loop {
            self.fill(4)?;
            let kind = self.u32(0);
            if kind == BLOCK_SECTION {
                self.section()?;
                continue;
            }
            self.body()?;
            match kind {
                BLOCK_INTERFACE => self.interface(),
                BLOCK_PACKET if self.buffer.len() >= 20 => {
                    return self.packet(self.u32(0) as usize);
                }
                BLOCK_OLD_PACKET if self.buffer.len() >= 20 => {
                    return self.packet(usize::from(self.u16(0)));
                }
                BLOCK_SIMPLE_PACKET => self.timeless += 1,
                _ => {}
            }
        }
    }

    /// Reads the length and the body of a block whose type was read; the body stays in the buffer.
    fn body(&mut self) -> Result<(), Stop> {
        self.fill(4).map_err(mid_packet)?;
        let length = self.u32(0) as usize;
        if !(12..=RECORD_MAX).contains(&length) || !length.is_multiple_of(4) {
            return Err(Stop::Broken(format!(
                "has a block of {length} bytes: it is damaged"
            )));
        }
        self.fill(length - 8).map_err(mid_packet)?;
        self.buffer.truncate(length - 12);
        Ok(())
    }

    /// The rest of a section's header: the byte order of all that follows.
    fn section(&mut self) -> Result<(), Stop> {
        self.fill(8).map_err(mid_packet)?;
        self.big = false;
        let length = self.buffer[..4].to_vec();
        if self.u32(4) != BYTE_ORDER {
            self.big = true;
            if self.u32(4) != BYTE_ORDER {
                return Err(Stop::Broken("has a section of no known byte order".into()));
            }
        }
        let length: [u8; 4] = length.try_into().unwrap_or_default();
        let length = if self.big {
            u32::from_be_bytes(length)
        } else {
            u32::from_le_bytes(length)
        };
        if !(28..=RECORD_MAX as u32).contains(&length) {
            return Err(Stop::Broken(
                "has a section whose length makes no sense".into(),
            ));
        }
        self.fill(length as usize - 12).map_err(mid_packet)?;
        self.format = Format::Blocks(Vec::new());
        Ok(())
    }

    /// An interface: its link type and its clock.
    fn interface(&mut self) {
        let mut interface = Interface {
            link: if self.buffer.len() < 8 {
                u32::MAX
            } else {
                u32::from(self.u16(0))
            },
            resolution: Resolution::Decimal(6),
            offset_secs: 0,
        };
        let mut at = 8;
        while at + 4 <= self.buffer.len() {
            let (code, length) = (self.u16(at), usize::from(self.u16(at + 2)));
            let value = self.buffer.get(at + 4..at + 4 + length).unwrap_or_default();
            match (code, value) {
                (OPTION_RESOLUTION, [unit]) if unit & 0x80 != 0 => {
                    interface.resolution = Resolution::Binary(u32::from(unit & 0x7f));
                }
                (OPTION_RESOLUTION, [unit]) => {
                    interface.resolution = Resolution::Decimal(u32::from(*unit));
                }
                (OPTION_OFFSET, value) if value.len() == 8 => {
                    let bytes: [u8; 8] = value.try_into().unwrap_or_default();
                    interface.offset_secs = if self.big {
                        i64::from_be_bytes(bytes)
                    } else {
                        i64::from_le_bytes(bytes)
                    };
                }
                (0, _) => break,
                _ => {}
            }
            at += 4 + length.next_multiple_of(4);
        }
        if let Format::Blocks(interfaces) = &mut self.format {
            interfaces.push(interface);
        }
    }

    fn packet(&self, interface: usize) -> Result<(u64, u32, usize, usize, bool), Stop> {
        let known = match &self.format {
            Format::Blocks(interfaces) => interfaces.get(interface),
            Format::Classic { .. } => None,
        };
        let Some(interface) = known else {
            let text = format!("has a packet of interface {interface}, which it does not describe");
            return Err(Stop::Broken(text));
        };
        let ticks = u64::from(self.u32(4)) << 32 | u64::from(self.u32(8));
        let (length, original) = (self.u32(12) as usize, self.u32(16) as usize);
        if length > self.buffer.len() - 20 {
            return Err(Stop::Broken(
                "has a packet that is longer than its block".into(),
            ));
        }
        let offset_ns = i128::from(interface.offset_secs) * 1_000_000_000;
        let time_ns = i128::from(interface.resolution.nanoseconds(ticks)) + offset_ns;
        let time_ns = u64::try_from(time_ns).unwrap_or_default();
        Ok((time_ns, interface.link, 20, length, length < original))
    }

    /// Reads exactly so many bytes into the buffer.
    fn fill(&mut self, length: usize) -> Result<(), Stop> {
        self.buffer.resize(length, 0);
        let mut have = 0;
        while have < length {
            match self.input.read(&mut self.buffer[have..]) {
                Ok(0) if have == 0 => return Err(Stop::End),
                Ok(0) => return Err(Stop::Short),
                Ok(count) => {
                    have += count;
                    self.offset += count as u64;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(Stop::Broken(format!("cannot be read: {error}"))),
            }
        }
        Ok(())
    }

    fn u16(&self, at: usize) -> u16 {
        let bytes: [u8; 2] = self.buffer[at..at + 2].try_into().unwrap_or_default();
        if self.big {
            u16::from_be_bytes(bytes)
        } else {
            u16::from_le_bytes(bytes)
        }
    }

    fn u32(&self, at: usize) -> u32 {
        let bytes: [u8; 4] = self.buffer[at..at + 4].try_into().unwrap_or_default();
        if self.big {
            u32::from_be_bytes(bytes)
        } else {
            u32::from_le_bytes(bytes)
        }
    }
}

/// The end of the file within a packet is none between two.
fn mid_packet(stop: Stop) -> Stop {
    match stop {
        Stop::End => Stop::Short,
        other => other,
    }
}

#[cfg(test)]
#[path = "capture_tests.rs"]
mod tests;
