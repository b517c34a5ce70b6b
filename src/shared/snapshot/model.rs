//! Loom models of the snapshot's protocol: every interleaving of a writer's and a reader's steps.
//! Run by `make loom`. Each model is one promise of the snapshot.
//!
//! The writer is made before its thread begins: loom's search remembers only the last access to a
//! word, so a thread that loads what it then stores would hide the reader's earlier load, and the
//! model would shrink to one execution. [`explore`] makes sure that it does not.

use super::*;
use crate::shared::exploration::explore;

/// A model with fewer executions than this has explored nothing.
const EXECUTIONS_MIN: usize = 30;

/// Words of a list in a model.
const LENGTH: usize = 2;

fn snapshot() -> Snapshot {
    let words = HEAD + 2 * (SECTIONS_MAX + LENGTH);
    let words: Vec<AtomicU64> = (0..words).map(|_| AtomicU64::new(0)).collect();
    Snapshot::new(Box::leak(words.into_boxed_slice()))
}

fn publish(writer: &mut Writer, value: u64) {
    let list = Some(vec![value; LENGTH]);
    writer.set(Section::Bans, list).expect("there is room");
    writer.publish();
}

fn read(snapshot: Snapshot) -> Result<Vec<u64>, Unread> {
    snapshot.read(&[Section::Bans], |view| {
        let words = view.words(Section::Bans).unwrap_or_default();
        words.iter().map(|word| word.load(Relaxed)).collect()
    })
}

fn is_whole(list: &[u64], values: std::ops::RangeInclusive<u64>) -> bool {
    list.len() == LENGTH && list[0] == list[1] && values.contains(&list[0])
}

/// A reader sees one whole publication, also if the writer comes round to its arena meanwhile.
#[test]
fn model_a_reader_sees_one_whole_publication() {
    explore(3, EXECUTIONS_MIN, || {
        let snapshot = snapshot();
        let mut writer = snapshot.writer();
        let writer = loom::thread::spawn(move || {
            for value in 1..=3 {
                publish(&mut writer, value);
            }
        });
        match read(snapshot) {
            Ok(list) => assert!(is_whole(&list, 1..=3), "torn: {list:?}"),
            Err(Unread::Absent | Unread::Busy) => {}
        }
        writer.join().unwrap();
        assert_eq!(read(snapshot), Ok(vec![3; LENGTH]));
    });
}

/// What a killed writer left half written is never seen, while its successor writes over it.
#[test]
fn model_a_killed_writer_leaves_nothing_to_see() {
    explore(3, EXECUTIONS_MIN, || {
        let snapshot = snapshot();
        publish(&mut snapshot.writer(), 1);
        let half_written = &snapshot.arena(2)[SECTIONS_MAX];
        half_written.store(99, Relaxed);
        let mut writer = snapshot.writer();
        let successor = loom::thread::spawn(move || {
            publish(&mut writer, 2);
            publish(&mut writer, 3);
        });
        match read(snapshot) {
            Ok(list) => assert!(is_whole(&list, 1..=3), "torn: {list:?}"),
            Err(unread) => assert_eq!(unread, Unread::Busy),
        }
        successor.join().unwrap();
        assert_eq!(read(snapshot), Ok(vec![3; LENGTH]));
    });
}

/// Time does not run backwards: who has seen a publication never sees an earlier one.
#[test]
fn model_a_reader_never_goes_back() {
    explore(3, EXECUTIONS_MIN, || {
        let snapshot = snapshot();
        publish(&mut snapshot.writer(), 1);
        let mut writer = snapshot.writer();
        let writer = loom::thread::spawn(move || publish(&mut writer, 2));
        let first = read(snapshot).unwrap_or_default();
        let second = read(snapshot).unwrap_or_default();
        assert!(
            first <= second || second.is_empty(),
            "{first:?}, then {second:?}"
        );
        writer.join().unwrap();
    });
}
