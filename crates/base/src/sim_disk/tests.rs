//! The simulated disk held to what it promises: what is durable, what a power cut tears, what fails when.

use super::*;

const DIR: &str = "/data";

fn disk(seed: u64) -> SimDisk {
    let disk = SimDisk::new(seed);
    disk.create_dir_all(Path::new(DIR)).unwrap();
    disk
}

fn path(name: &str) -> PathBuf {
    Path::new(DIR).join(name)
}

fn create(disk: &SimDisk, name: &str, bytes: &[u8]) -> Arc<dyn DiskFile> {
    let file = disk.open(&path(name), Access::Create).unwrap();
    file.write_at(bytes, 0).unwrap();
    file
}

fn durable(disk: &SimDisk, name: &str, bytes: &[u8]) -> Arc<dyn DiskFile> {
    let file = create(disk, name, bytes);
    file.sync().unwrap();
    disk.sync_dir(Path::new(DIR)).unwrap();
    file
}

#[test]
fn what_was_synced_survives_every_crash() {
    for seed in 0..100 {
        let disk = disk(seed);
        let file = durable(&disk, "a", &[1; 3000]);
        file.write_at(&[2; 100], 5000).unwrap();
        disk.crash();
        assert_eq!(disk.bytes(&path("a")).unwrap()[..3000], [1; 3000]);
        assert!(file.read_at(&mut [0], 0).is_err(), "the handle is dead");
    }
}

#[test]
fn what_was_not_synced_survives_in_any_part_but_sectors_are_whole() {
    let mut seen = BTreeSet::new();
    for seed in 0..200 {
        let disk = disk(seed);
        let file = durable(&disk, "a", &[1; 4 * SECTOR_BYTES]);
        file.write_at(&[2; 4 * SECTOR_BYTES], 0).unwrap();
        disk.crash();
        let bytes = disk.bytes(&path("a")).unwrap();
        let sectors: Vec<u8> = bytes
            .chunks(SECTOR_BYTES)
            .map(|sector| {
                assert!(sector.iter().all(|byte| *byte == sector[0]), "a torn sector");
                sector[0]
            })
            .collect();
        seen.insert(sectors);
    }
    assert_eq!(seen.len(), 16, "every combination");
}

#[test]
fn a_length_that_was_not_synced_may_be_lost_or_hold_zeros() {
    let mut lengths = BTreeSet::new();
    for seed in 0..200 {
        let disk = disk(seed);
        let file = durable(&disk, "a", &[1; SECTOR_BYTES]);
        file.write_at(&[2; 2 * SECTOR_BYTES], SECTOR_BYTES as u64).unwrap();
        disk.crash();
        let bytes = disk.bytes(&path("a")).unwrap();
        assert!(bytes[SECTOR_BYTES..].iter().all(|byte| [0, 2].contains(byte)));
        lengths.insert(bytes.len());
    }
    assert!(lengths.contains(&SECTOR_BYTES) && lengths.contains(&(3 * SECTOR_BYTES)));
    assert!(lengths.len() > 5, "and anything in between");
}

#[test]
fn a_name_is_not_durable_until_its_directory_is_synced() {
    let mut outcomes = BTreeSet::new();
    for seed in 0..100 {
        let disk = disk(seed);
        durable(&disk, "old", b"old");
        create(&disk, "new", b"new").sync().unwrap();
        disk.rename(&path("old"), &path("renamed")).unwrap();
        disk.crash();
        let names = disk.list(Path::new(DIR)).unwrap();
        assert!(names.contains(&"old".into()) != names.contains(&"renamed".into()));
        outcomes.insert(names);
    }
    assert_eq!(outcomes.len(), 4);
    let disk = disk(1);
    durable(&disk, "old", b"old");
    disk.rename(&path("old"), &path("renamed")).unwrap();
    disk.sync_dir(Path::new(DIR)).unwrap();
    disk.crash();
    assert_eq!(disk.list(Path::new(DIR)).unwrap(), ["renamed"]);
}

#[test]
fn a_failing_sync_drops_what_was_pending_and_the_next_one_says_nothing() {
    let lost = (0..100).any(|seed| {
        let disk = disk(seed);
        let file = durable(&disk, "a", &[1; SECTOR_BYTES]);
        file.write_at(&[2; SECTOR_BYTES], 0).unwrap();
        disk.fail_sync_after(1);
        assert!(file.sync().is_err());
        file.sync().unwrap();
        assert_eq!(disk.bytes(&path("a")).unwrap(), [2; SECTOR_BYTES], "the page cache shows it");
        disk.crash();
        disk.bytes(&path("a")).unwrap() == [1; SECTOR_BYTES]
    });
    assert!(lost);
}

#[test]
fn the_nth_sync_fails_and_no_other() {
    let disk = disk(0);
    let file = create(&disk, "a", b"x");
    disk.fail_sync_after(3);
    let results: Vec<bool> = (0..5).map(|_| file.sync().is_ok()).collect();
    assert_eq!(results, [true, true, false, true, true]);
}

#[test]
fn a_full_disk_refuses_to_grow_and_still_overwrites() {
    let disk = disk(0);
    disk.set_capacity(1000);
    let file = create(&disk, "a", &[1; 900]);
    assert_eq!(disk.free_bytes(&path("a")).unwrap(), 100);
    let refused = file.write_at(&[2; 200], 850).unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::StorageFull);
    file.write_at(&[3; 900], 0).unwrap();
    assert!(file.set_len(1001).is_err());
    file.set_len(10).unwrap();
    file.set_len(1000).unwrap();
}

#[test]
fn power_goes_away_during_the_nth_call() {
    for steps in 1..=3 {
        let disk = disk(0);
        let file = durable(&disk, "a", b"0");
        disk.power_off_after(steps);
        let results = [
            file.write_at(b"1", 0).is_ok(),
            file.sync().is_ok(),
            disk.rename(&path("a"), &path("b")).is_ok(),
        ];
        let done = results.iter().filter(|ok| **ok).count() as u64;
        assert_eq!(done, steps - 1);
        assert!(disk.is_off());
        assert!(disk.open(&path("a"), Access::Read).is_err(), "off is off");
        disk.crash();
        let name = if disk.exists(&path("a")) { "a" } else { "b" };
        assert!(steps == 3 || name == "a");
        if steps == 3 {
            assert_eq!(disk.bytes(&path(name)).unwrap(), b"1");
        }
    }
}

#[test]
fn the_same_seed_has_the_same_accidents() {
    let run = |seed| {
        let disk = disk(seed);
        let file = durable(&disk, "a", &[1; 10_000]);
        file.write_at(&[2; 20_000], 0).unwrap();
        disk.crash();
        disk.bytes(&path("a")).unwrap()
    };
    assert_eq!(run(7), run(7));
    assert_ne!(run(7), run(8));
}

#[test]
fn a_kill_keeps_what_was_written_and_frees_the_lock() {
    let disk = disk(0);
    let file = create(&disk, "a", b"x");
    assert!(file.try_lock().unwrap());
    let other = disk.open(&path("a"), Access::Write).unwrap();
    assert!(!other.try_lock().unwrap());
    disk.kill();
    let other = disk.open(&path("a"), Access::Write).unwrap();
    assert!(other.try_lock().unwrap());
    assert_eq!(disk.bytes(&path("a")).unwrap(), b"x");
    drop(other);
    assert!(disk.open(&path("a"), Access::Write).unwrap().try_lock().unwrap());
}

#[test]
fn a_fork_goes_its_own_way() {
    let disk = disk(0);
    let file = durable(&disk, "a", b"1");
    file.write_at(b"2", 0).unwrap();
    let fork = disk.fork(1);
    file.sync().unwrap();
    fork.crash();
    disk.crash();
    assert_eq!(disk.bytes(&path("a")).unwrap(), b"2");
    let kept: BTreeSet<_> = (0..50)
        .map(|seed| {
            let fork = disk.fork(seed);
            let file = fork.open(&path("a"), Access::Write).unwrap();
            file.write_at(b"3", 0).unwrap();
            fork.crash();
            fork.bytes(&path("a")).unwrap()
        })
        .collect();
    assert_eq!(kept.len(), 2);
    assert_eq!(disk.bytes(&path("a")).unwrap(), b"2");
}

#[test]
fn a_bit_flip_is_durable() {
    let disk = disk(0);
    durable(&disk, "a", &[0; 10]);
    disk.flip(&path("a"), 3, 4).unwrap();
    disk.crash();
    assert_eq!(disk.bytes(&path("a")).unwrap()[3], 16);
}

#[test]
fn a_read_only_disk_refuses() {
    let disk = disk(0);
    durable(&disk, "a", b"x");
    disk.set_read_only(true);
    assert!(disk.open(&path("a"), Access::Write).is_err());
    assert!(disk.open(&path("b"), Access::Create).is_err());
    disk.open(&path("a"), Access::Read).unwrap();
}
