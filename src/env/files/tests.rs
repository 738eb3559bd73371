//! Eviction, dirt and poison on the in-memory disk.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::sync::Arc;

use super::*;
use crate::env::disk::{read_full_at, write_full_at};
use crate::env::sim_disk::{Effect, Fault, OpKind, SimDisk, ends_with};

fn cache(capacity: usize) -> (SimDisk, FileCache) {
    let disk = SimDisk::default();
    let cache = FileCache::new(Arc::new(disk.clone()), capacity);
    (disk, cache)
}

fn created(cache: &FileCache, path: &str) -> CachedFile {
    let file = cache.file(path, OpenMode::CreateNew);
    file.get().unwrap();
    file
}

fn put(file: &CachedFile, bytes: &[u8]) {
    file.write(|file| write_full_at(file, bytes, 0)).unwrap();
}

fn count(disk: &SimDisk, kind: OpKind) -> usize {
    disk.trace().iter().filter(|op| op.kind == kind).count()
}

fn durable(disk: &SimDisk, path: &str) -> Vec<u8> {
    disk.durable_bytes(Path::new(path)).unwrap()
}

#[test]
fn a_file_is_opened_at_its_first_use_and_made_once() {
    let (disk, cache) = cache(4);
    let file = cache.file("/f", OpenMode::CreateNew);
    assert_eq!((cache.open_count(), disk.op_count()), (0, 0));
    put(&file, b"abc");
    assert_eq!(cache.open_count(), 1);
    file.close().unwrap();
    assert_eq!((cache.open_count(), durable(&disk, "/f")), (0, b"abc".to_vec()));
    let mut buffer = [0; 4];
    assert_eq!(file.with(|file| read_full_at(file, &mut buffer, 0)).unwrap(), 3);
    assert_eq!(count(&disk, OpKind::Create), 1);
    drop(file);
    assert_eq!(cache.open_count(), 0);
}

#[test]
fn the_least_recently_used_file_is_closed() {
    let (disk, cache) = cache(2);
    let files = ["/a", "/b", "/c"].map(|path| cache.file(path, OpenMode::CreateNew));
    files[0].get().unwrap();
    files[1].get().unwrap();
    files[0].get().unwrap();
    files[2].get().unwrap();
    assert_eq!(cache.open_count(), 2);
    let is_open = |file: &CachedFile| file.slot.state.lock().file.is_some();
    assert_eq!(files.each_ref().map(is_open), [true, false, true]);
    assert_eq!(count(&disk, OpKind::SyncData), 0);
    for _ in 0..3 {
        files.iter().for_each(|file| drop(file.get().unwrap()));
        assert_eq!(cache.open_count(), 2);
    }
    assert!(cache.shared.by_use.lock().len() <= 2, "no stale entries pile up");
}

#[test]
fn a_dirty_file_is_synced_before_it_is_closed() {
    let (disk, cache) = cache(1);
    let file = created(&cache, "/a");
    put(&file, b"abc");
    assert!(file.is_dirty() && durable(&disk, "/a").is_empty());
    created(&cache, "/b");
    assert!(!file.is_dirty());
    assert_eq!(durable(&disk, "/a"), b"abc");
}

#[test]
fn a_clean_file_is_closed_before_a_dirty_one() {
    let (disk, cache) = cache(3);
    let dirty = ["/a", "/b"].map(|path| created(&cache, path));
    dirty.iter().for_each(|file| put(file, b"abc"));
    let clean = created(&cache, "/c");
    for _ in 0..3 {
        created(&cache, &format!("/d{}", disk.op_count()));
        clean.get().unwrap();
    }
    assert_eq!((cache.open_count(), count(&disk, OpKind::SyncData)), (3, 0));
    let is_open = |file: &CachedFile| file.slot.state.lock().file.is_some();
    assert!(dirty.iter().all(|file| is_open(file) && file.is_dirty()));
    let held = clean.get().unwrap();
    created(&cache, "/e");
    assert_eq!(count(&disk, OpKind::SyncData), 1, "no clean one is left: one is synced");
    assert_eq!((is_open(&dirty[0]), durable(&disk, "/a")), (false, b"abc".to_vec()));
    drop(held);
}

#[test]
fn a_clean_file_behind_many_dirty_ones_is_not_looked_for() {
    let (disk, cache) = cache(DIRTY_PASSED_MAX + 1);
    let dirty: Vec<_> = (0..DIRTY_PASSED_MAX).map(|n| created(&cache, &format!("/{n}"))).collect();
    dirty.iter().for_each(|file| put(file, b"abc"));
    let clean = created(&cache, "/clean");
    let other = created(&cache, "/other");
    assert_eq!(count(&disk, OpKind::SyncData), 1);
    let is_open = |file: &CachedFile| file.slot.state.lock().file.is_some();
    assert!(is_open(&clean) && is_open(&other) && !is_open(&dirty[0]));
    assert!(cache.shared.by_use.lock().len() == cache.open_count(), "every open file can be closed later");
}

#[test]
fn a_failed_sync_at_eviction_is_seen_by_every_later_call() {
    let (disk, cache) = cache(1);
    let file = created(&cache, "/a");
    put(&file, b"abc");
    disk.fail(Fault::on(OpKind::SyncData, ends_with("/a"), Effect::LoseSync));
    created(&cache, "/b");
    let error = file.sync().unwrap_err();
    assert_eq!((error.operation, error.path.as_path()), (OpKind::SyncData, Path::new("/a")));
    assert!(file.get().is_err() && file.close().is_err() && file.note_synced(1).is_err());
    assert_eq!(count(&disk, OpKind::SyncData), 1, "a failed sync is not tried again");
}

#[test]
fn a_failed_sync_poisons_and_is_not_tried_again() {
    let (disk, cache) = cache(4);
    let file = created(&cache, "/a");
    put(&file, b"abc");
    disk.fail(Fault::on(OpKind::SyncData, ends_with("/a"), Effect::LoseSync));
    assert!(file.sync().is_err());
    assert_eq!(cache.open_count(), 0);
    assert!(file.clone().sync().is_err() && file.get().is_err());
    assert_eq!(count(&disk, OpKind::SyncData), 1);
}

#[test]
fn a_write_during_a_sync_keeps_the_file_dirty() {
    let (_, cache) = cache(4);
    let file = created(&cache, "/a");
    put(&file, b"abc");
    let before = file.write_count();
    put(&file, b"abcd");
    file.note_synced(before).unwrap();
    assert!(file.is_dirty());
    file.note_synced(file.write_count()).unwrap();
    assert!(!file.is_dirty());
    put(&file, b"x");
    file.sync().unwrap();
    assert!(!file.is_dirty());
}

#[test]
fn a_file_for_reading_never_dirties() {
    let (disk, cache) = cache(4);
    created(&cache, "/a").close().unwrap();
    let reader = cache.file("/a", OpenMode::Read);
    reader.mark_dirty();
    reader.with(|file| file.len()).unwrap();
    reader.close().unwrap();
    assert!(!reader.is_dirty());
    assert_eq!(count(&disk, OpKind::SyncData), 0);
}

#[test]
fn a_file_in_use_is_not_closed() {
    let (_, cache) = cache(1);
    let file = created(&cache, "/a");
    let held = file.get().unwrap();
    created(&cache, "/b");
    assert!(file.slot.state.lock().file.is_some());
    drop(held);
    let other = created(&cache, "/c");
    assert_eq!(cache.open_count(), 1);
    assert!(other.slot.state.lock().file.is_some());
}

#[test]
fn a_file_in_use_is_not_closed_by_hand_either() {
    let (_, cache) = cache(2);
    let file = created(&cache, "/a");
    let held = file.get().unwrap();
    assert!(!file.close().unwrap());
    drop(held);
    assert!(file.close().unwrap() && cache.open_count() == 0);
}

#[test]
fn too_many_files_closes_one_and_tries_once_more() {
    let (disk, cache) = cache(10);
    let first = created(&cache, "/a");
    disk.fail(Fault::on(OpKind::Create, ends_with("/b"), Effect::TooManyFiles));
    let second = created(&cache, "/b");
    assert_eq!(cache.open_count(), 1);
    disk.fail(Fault::on(OpKind::Open, ends_with("/a"), Effect::TooManyFiles).times(2));
    assert_eq!(first.get().map(drop).unwrap_err().kind, DiskErrorKind::TooManyFiles);
    assert_eq!(cache.open_count(), 0);
    assert!(first.get().is_ok() && second.get().is_ok(), "not being opened poisons nothing");
}

#[test]
fn a_renamed_file_is_opened_under_its_new_name() {
    let (disk, cache) = cache(4);
    let file = created(&cache, "/a");
    disk.rename(Path::new("/a"), Path::new("/b")).unwrap();
    file.renamed("/b");
    file.close().unwrap();
    file.get().unwrap();
    assert_eq!(file.path(), Path::new("/b"));
}

#[test]
fn a_poison_from_outside_holds() {
    let (_, cache) = cache(4);
    let file = created(&cache, "/a");
    let error = DiskError {
        kind: DiskErrorKind::Io,
        operation: OpKind::SyncFileSystem,
        path: "/".into(),
        detail: "gone".to_owned(),
    };
    file.poison(error);
    assert_eq!(file.sync().unwrap_err().detail, "gone");
}

#[test]
fn many_threads_share_a_small_cache() {
    let (disk, cache) = cache(3);
    let files: Vec<_> = (0..8).map(|i| cache.file(format!("/f{i}"), OpenMode::CreateNew)).collect();
    std::thread::scope(|scope| {
        for thread in 0..4u64 {
            let files = &files;
            scope.spawn(move || {
                let rng = crate::env::Rng::seeded(thread);
                for round in 0..500u64 {
                    let file = &files[rng.below(8) as usize];
                    match round % 5 {
                        0 => file.sync().unwrap(),
                        1 => drop(file.close().unwrap()),
                        _ => put(file, &round.to_le_bytes()),
                    }
                }
            });
        }
    });
    for (i, file) in files.iter().enumerate() {
        file.close().unwrap();
        let path = format!("/f{i}");
        assert_eq!(durable(&disk, &path), disk.current_bytes(Path::new(&path)).unwrap());
    }
    assert_eq!(cache.open_count(), 0);
}
