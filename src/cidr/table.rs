//! The look-up: sorted columns under a first-level index, wherever they lie.
//!
//! Called by SIP workers for every request, on memory of their own ([`super::PrefixMap`]) or on
//! columns in shared memory. It reads two index words and halves the handful of segments between
//! them; it never allocates and never panics.
#![forbid(unsafe_code)]

use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU32;

use super::blocks::Run;
use super::prefix::{Prefix, bits, is_mapped};
use crate::source::Address;

/// Finest first-level index: 2^16 parts of the address space.
pub(super) const INDEX_BITS_MAX: u32 = 16;
/// The IPv6 index divides 2000::/3, all global unicast (RFC 4291, 2.4); whatever lies before or
/// behind counts to its first or last part.
const V6_BASE: u64 = 0x2000_0000_0000_0000;
const V6_BITS: u32 = 61;

/// A read-only array, wherever it lies: a slice, or atomics in shared memory.
pub trait Column<T> {
    /// Number of rows.
    fn rows(&self) -> usize;
    /// The value in a row; `None` beyond the end.
    fn at(&self, row: usize) -> Option<T>;
}

impl<T: Copy> Column<T> for &[T] {
    fn rows(&self) -> usize {
        self.len()
    }

    #[inline]
    fn at(&self, row: usize) -> Option<T> {
        self.get(row).copied()
    }
}

/// The columns of a map. They may hold anything, as memory does that a writer is just changing:
/// the answer is then meaningless, but it comes, in bounded time and without a panic.
#[derive(Clone, Copy, Debug)]
pub struct PrefixTable<D, Q> {
    /// For each part of the IPv4 space the first segment that starts in it or later, and one row
    /// more: 2^n + 1 rows, or none.
    pub v4_index: D,
    /// Where the IPv4 segments start, ascending.
    pub v4_starts: D,
    /// What each IPv4 segment holds; 0 is nothing.
    pub v4_values: D,
    /// As for IPv4, over 2000::/3.
    pub v6_index: D,
    /// Where the IPv6 segments start: the upper 64 bits.
    pub v6_starts: Q,
    /// The lower 64 bits, read only where the upper ones are equal.
    pub v6_starts_low: Q,
    /// What each IPv6 segment holds; 0 is nothing.
    pub v6_values: D,
}

impl<D: Column<u32>, Q: Column<u64>> PrefixTable<D, Q> {
    /// The value of the longest prefix around `address`; a mapped IPv4 address is IPv4.
    #[inline]
    pub fn get(&self, address: IpAddr) -> Option<NonZeroU32> {
        self.value_of(address.into())
    }

    /// The same of an address as a number, as a request has it.
    #[inline]
    pub fn value_of(&self, address: Address) -> Option<NonZeroU32> {
        let bits = address.bits();
        self.value(bits, self.row(bits)?)
    }

    /// Whether the whole of `prefix` has one and the same value: in a map of equal values, whether
    /// the entries leave no gap in it.
    pub fn covers(&self, prefix: Prefix) -> bool {
        let (first, last) = (self.row(prefix.first()), self.row(prefix.last()));
        first == last && first.is_some_and(|row| self.value(prefix.first(), row).is_some())
    }

    /// The addresses inside `prefix` that have a value: in order, and as few runs as the segments
    /// are.
    pub fn runs_in(&self, prefix: Prefix) -> Vec<Run> {
        let (whole, mut row) = (Run::from(prefix), self.row(prefix.first()).unwrap_or(0));
        let mut runs = Vec::new();
        while let Some(start) = self.start(prefix.is_ipv4(), row) {
            if start > whole.last {
                break;
            }
            let next = self.start(prefix.is_ipv4(), row + 1);
            let end = next.map_or(u128::MAX, |next| next.saturating_sub(1));
            if self.value(whole.first, row).is_some() {
                runs.push(Run {
                    first: start.max(whole.first),
                    last: end.min(whole.last),
                });
            }
            row += 1;
        }
        runs
    }

    /// Hands over each segment that has a value.
    pub fn segments(&self, mut take: impl FnMut(Run, NonZeroU32)) {
        let last_v4 = bits(Ipv4Addr::BROADCAST.into());
        for (ipv4, rows, last) in [
            (true, self.v4_starts.rows(), last_v4),
            (false, self.v6_starts.rows(), u128::MAX),
        ] {
            for row in 0..rows {
                let Some(first) = self.start(ipv4, row) else {
                    break;
                };
                let next = self.start(ipv4, row + 1);
                let last = next.map_or(last, |next| next.saturating_sub(1));
                if let Some(value) = self.value(first, row).filter(|_| first <= last) {
                    take(Run { first, last }, value);
                }
            }
        }
    }

    /// Where a segment of a family starts, as 128 bits.
    fn start(&self, ipv4: bool, row: usize) -> Option<u128> {
        if ipv4 {
            let start = Ipv4Addr::from(self.v4_starts.at(row)?);
            return Some(bits(start.into()));
        }
        let (high, low) = (self.v6_starts.at(row)?, self.v6_starts_low.at(row)?);
        Some(u128::from(high) << 64 | u128::from(low))
    }

    /// The row of the segment in which an address lies, in its family's columns.
    #[inline]
    fn row(&self, bits: u128) -> Option<usize> {
        if is_mapped(bits) {
            let wanted = bits as u32;
            let rows = candidates(&self.v4_index, self.v4_starts.rows(), |n| {
                v4_part(wanted, n)
            })?;
            last_row(rows, |row| Some(self.v4_starts.at(row)? <= wanted))
        } else {
            let (high, low) = ((bits >> 64) as u64, bits as u64);
            let rows = candidates(&self.v6_index, self.v6_starts.rows(), |n| v6_part(high, n))?;
            last_row(rows, |row| {
                let start = self.v6_starts.at(row)?;
                Some(start < high || (start == high && self.v6_starts_low.at(row)? <= low))
            })
        }
    }

    #[inline]
    fn value(&self, bits: u128, row: usize) -> Option<NonZeroU32> {
        let values = if is_mapped(bits) {
            &self.v4_values
        } else {
            &self.v6_values
        };
        NonZeroU32::new(values.at(row)?)
    }
}

/// The rows among which the segment starts, or before which it lies. `None` for an empty map.
#[inline]
fn candidates<D: Column<u32>>(
    index: &D,
    rows: usize,
    part: impl FnOnce(u32) -> usize,
) -> Option<(usize, usize)> {
    if rows == 0 {
        return None;
    }
    let Some(index_bits) = index.rows().saturating_sub(1).checked_ilog2() else {
        return Some((0, rows));
    };
    let part = part(index_bits.min(INDEX_BITS_MAX));
    let (from, to) = (index.at(part)?, index.at(part + 1)?);
    Some((from as usize, to as usize))
}

/// The last row of which `starts` holds: among `from..to`, or the one before them.
#[inline]
fn last_row(
    (mut from, mut to): (usize, usize),
    starts: impl Fn(usize) -> Option<bool>,
) -> Option<usize> {
    while from < to {
        let middle = from + (to - from) / 2;
        if starts(middle)? {
            from = middle + 1;
        } else {
            to = middle;
        }
    }
    from.checked_sub(1)
}

/// The part of the IPv4 space, of 2^`index_bits`, in which an address lies.
#[inline]
pub(super) fn v4_part(address: u32, index_bits: u32) -> usize {
    (u64::from(address) >> (32 - index_bits)) as usize
}

/// The same for the upper half of an IPv6 address.
#[inline]
pub(super) fn v6_part(high: u64, index_bits: u32) -> usize {
    let part = high.saturating_sub(V6_BASE) >> (V6_BITS - index_bits);
    part.min((1 << index_bits) - 1) as usize
}
