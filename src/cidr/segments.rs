//! Nested prefixes flattened: the address space as a row of segments, each from its first address
//! up to the next segment's, with the value of the longest prefix around it.
//!
//! Called when a prefix map is built, never during a look-up. n prefixes give at most 2n + 1
//! segments; neighbours of equal value are one segment.
#![forbid(unsafe_code)]

/// A prefix as a range: first and last address, and its value.
pub(super) type Range = (u128, u128, u32);

/// The first address of a segment, and what holds from there on; 0 is nothing.
pub(super) type Segment = (u128, u32);

/// Flattens prefixes, which may nest and repeat but, being prefixes, never overlap by halves.
/// Of two equal prefixes the later one counts. `limit` is the highest address of the family.
pub(super) fn flatten(mut ranges: Vec<Range>, limit: u128) -> Vec<Segment> {
    // Outer prefixes first; the sort is stable, so of equals the later one comes last and wins.
    ranges.sort_by_key(|&(first, last, _)| (first, u128::MAX - last));
    let mut row = Row {
        segments: Vec::with_capacity(ranges.len() * 2),
        open: Vec::new(),
        limit,
    };
    for (first, last, value) in ranges {
        while row.open.last().is_some_and(|&(end, _)| end < first) {
            row.close();
        }
        row.begin(first, value);
        row.open.push((last, value));
    }
    while !row.open.is_empty() {
        row.close();
    }
    row.segments
}

struct Row {
    segments: Vec<Segment>,
    /// Last address and value of the prefixes around the current address, outermost first.
    open: Vec<(u128, u32)>,
    limit: u128,
}

impl Row {
    /// From `first` on, `value` holds.
    fn begin(&mut self, first: u128, value: u32) {
        self.segments.pop_if(|&mut (start, _)| start == first);
        if self.segments.last().map_or(0, |&(_, value)| value) != value {
            self.segments.push((first, value));
        }
    }

    /// Ends the innermost open prefix.
    fn close(&mut self) {
        let Some((end, _)) = self.open.pop() else {
            return;
        };
        let around = self.open.last().map_or(0, |&(_, value)| value);
        if end < self.limit {
            self.begin(end + 1, around);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nested_prefixes_become_a_row() {
        let cases: [(&[Range], &[Segment]); 9] = [
            (&[], &[]),
            (&[(0, 255, 1)], &[(0, 1)]),
            (&[(16, 31, 1)], &[(16, 1), (32, 0)]),
            (&[(16, 31, 1), (32, 47, 1)], &[(16, 1), (48, 0)]),
            (
                &[(0, 127, 1), (32, 63, 2), (32, 47, 3)],
                &[(0, 1), (32, 3), (48, 2), (64, 1), (128, 0)],
            ),
            (&[(0, 127, 1), (64, 127, 1)], &[(0, 1), (128, 0)]),
            (&[(240, 255, 4), (0, 255, 9)], &[(0, 9), (240, 4)]),
            (&[(16, 31, 1), (16, 31, 2)], &[(16, 2), (32, 0)]),
            (&[(16, 16, 1), (16, 16, 2)], &[(16, 2), (17, 0)]),
        ];
        for (ranges, row) in cases {
            assert_eq!(flatten(ranges.to_vec(), 255), row, "{ranges:?}");
        }
    }
}
