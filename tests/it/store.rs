//! The store: whole or not at all, whoever else is writing and wherever somebody was killed.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Barrier;
use std::time::{Duration, SystemTime};

use pipe::graph::Key;
use pipe::host::{Host as _, RealHost};
use pipe::store::{Digests, Lookup, RunFolder, Store, Stored, write_whole};

fn store() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("store")).unwrap();
    (folder, store)
}

fn names(folder: impl AsRef<Path>) -> Vec<String> {
    RealHost.list(folder.as_ref()).unwrap()
}

fn node(store: &Store, key: &Key) -> PathBuf {
    store.root().join("nodes").join(key.as_str())
}

fn commit(store: &Store, key: &Key, bytes: &[u8]) -> Stored {
    let mut draft = store.draft(key).unwrap();
    draft.write("a.bin", bytes).unwrap();
    draft.commit().unwrap()
}

fn present(store: &Store, key: &Key) -> Option<Vec<u8>> {
    match store.look_up(key) {
        Lookup::Present(stored) => stored.read("a.bin").ok(),
        Lookup::Absent | Lookup::Damaged(_) => None,
    }
}

fn damage(store: &Store, key: &Key) -> Option<String> {
    match store.look_up(key) {
        Lookup::Damaged(why) => Some(why),
        Lookup::Absent | Lookup::Present(_) => None,
    }
}

#[test]
fn a_draft_that_is_dropped_leaves_nothing() {
    let (_folder, store) = store();
    let key = Key::of(b"1");
    let mut draft = store.draft(&key).unwrap();
    draft.write("a.bin", b"half").unwrap();
    fs::write(draft.path("b.bin"), b"half").unwrap();
    assert!(matches!(store.look_up(&key), Lookup::Absent));
    drop(draft);
    assert_eq!(names(store.root().join("drafts")), Vec::<String>::new());
    assert_eq!(names(store.root().join("nodes")), Vec::<String>::new());
}

#[test]
fn a_commit_is_there_whole_and_at_once() {
    let (_folder, store) = store();
    let key = Key::of(b"1");
    let mut draft = store.draft(&key).unwrap();
    draft.write("a.bin", b"first").unwrap();
    fs::write(draft.path("b.bin"), b"checks itself").unwrap();
    draft.adopt("b.bin").unwrap();
    fs::write(draft.path("c.bin"), b"nobody named it").unwrap();
    assert!(matches!(store.look_up(&key), Lookup::Absent));
    let stored = draft.commit().unwrap();
    assert_eq!(names(store.root().join("drafts")), Vec::<String>::new());
    assert_eq!(stored.read("a.bin").unwrap(), b"first");
    assert_eq!(stored.read("b.bin").unwrap(), b"checks itself");
    assert_eq!(stored.read("c.bin").unwrap_err().kind(), std::io::ErrorKind::InvalidData);
    assert_eq!(present(&store, &key).unwrap(), b"first");

    let again = Store::open(store.root()).unwrap();
    assert_eq!(present(&again, &key).unwrap(), b"first");
    again.remove(&key).unwrap();
    again.remove(&key).unwrap();
    assert!(matches!(store.look_up(&key), Lookup::Absent));
}

#[test]
fn whatever_is_damaged_is_told_and_never_read() {
    type Break = fn(&Path);
    let breaks: [(&str, Break); 6] = [
        ("instead of", |node| fs::write(node.join("a.bin"), b"fir").unwrap()),
        ("cannot be read", |node| fs::remove_file(node.join("a.bin")).unwrap()),
        ("not whole", |node| fs::write(node.join("manifest.json"), b"{").unwrap()),
        ("not whole", |node| File::options().write(true).open(node.join("manifest.json")).unwrap().set_len(9).unwrap()),
        ("cannot be read", |node| fs::remove_file(node.join("manifest.json")).unwrap()),
        ("something else", |node| {
            let text = fs::read_to_string(node.join("manifest.json")).unwrap();
            let other = Key::of(b"other");
            let key = node.file_name().unwrap().to_str().unwrap();
            fs::write(node.join("manifest.json"), text.replace(key, other.as_str())).unwrap();
        }),
    ];
    for (why, damaging) in breaks {
        let (_folder, store) = store();
        let key = Key::of(b"1");
        commit(&store, &key, b"first");
        assert_eq!(damage(&store, &key), None);
        damaging(&node(&store, &key));
        let told = damage(&store, &key).unwrap_or_else(|| panic!("{why} was not noticed"));
        assert!(told.contains(why), "{told}");
        // It can be made again over what is left.
        commit(&store, &key, b"again");
        assert_eq!(present(&store, &key).unwrap(), b"again", "{why}");
    }

    let (_folder, store) = store();
    let key = Key::of(b"1");
    let stored = commit(&store, &key, b"first");
    fs::write(node(&store, &key).join("a.bin"), b"firSt").unwrap();
    let error = stored.read("a.bin").unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidData);
    assert!(error.to_string().contains("`a.bin` differs from its digest"), "{error}");
}

#[test]
fn what_a_killed_process_left_is_cleared_and_what_is_being_made_is_not() {
    let (_folder, store) = store();
    let drafts = store.root().join("drafts");
    let key = Key::of(b"1");
    let mut live = store.draft(&key).unwrap();
    live.write("a.bin", b"first").unwrap();
    // As a kill leaves them: before the folder is made, at work, and after the lock is gone.
    File::create(drafts.join("0000aaaa-lock.lock")).unwrap();
    fs::create_dir(drafts.join("0000aaaa-work")).unwrap();
    fs::write(drafts.join("0000aaaa-work/model.safetensors"), b"half").unwrap();
    File::create(drafts.join("0000aaaa-work.lock")).unwrap();
    fs::create_dir(drafts.join("0000aaaa-bare")).unwrap();
    assert_eq!(names(&drafts).len(), 6);

    let again = Store::open(store.root()).unwrap();
    assert_eq!(names(&drafts).len(), 2, "{:?}", names(&drafts));
    live.commit().unwrap();
    assert_eq!(present(&again, &key).unwrap(), b"first");
    assert_eq!(names(&drafts), Vec::<String>::new());
}

#[test]
fn many_may_make_the_same_node_while_others_clear_up() {
    let (_folder, store) = store();
    let threads = 6_u8;
    let barrier = Barrier::new(usize::from(threads));
    std::thread::scope(|scope| {
        for _ in 0..threads {
            let (store, barrier) = (&store, &barrier);
            scope.spawn(move || {
                for round in 0..25_u8 {
                    let key = Key::of(&[round]);
                    barrier.wait();
                    // A store of its own, as another process would have: it clears abandoned drafts when opened.
                    let own = Store::open(store.root()).unwrap();
                    let mut draft = own.draft(&key).unwrap();
                    draft.write("a.bin", &[round; 1000]).unwrap();
                    barrier.wait();
                    let stored = draft.commit().unwrap();
                    assert_eq!(stored.read("a.bin").unwrap(), [round; 1000]);
                }
            });
        }
    });
    assert_eq!(names(store.root().join("nodes")).len(), 25);
    assert_eq!(names(store.root().join("drafts")), Vec::<String>::new());
}

#[test]
fn what_others_push_out_is_gone_or_whole() {
    let (_folder, store) = store();
    let rounds = 200_u8;
    std::thread::scope(|scope| {
        for thread in 0..4_u8 {
            let store = &store;
            scope.spawn(move || {
                for round in 0..rounds {
                    let which = (round + thread) % 3;
                    let (key, content) = (Key::of(&[which]), vec![which; 5000]);
                    if thread == 0 {
                        store.bound(6000, &[]).unwrap();
                        continue;
                    }
                    match store.look_up(&key) {
                        Lookup::Present(stored) => {
                            if let Ok(bytes) = stored.read("a.bin") {
                                assert_eq!(bytes, content);
                            }
                        }
                        // What is told of it is damage; it is never read.
                        Lookup::Absent | Lookup::Damaged(_) => {
                            let mut draft = store.draft(&key).unwrap();
                            draft.write("a.bin", &content).unwrap();
                            draft.commit().unwrap();
                        }
                    }
                }
            });
        }
    });
    store.bound(0, &[]).unwrap();
    assert_eq!(names(store.root().join("nodes")), Vec::<String>::new());
    assert_eq!(names(store.root().join("drafts")), Vec::<String>::new());
}

#[test]
fn a_store_that_is_a_file_cannot_be_opened() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    fs::write(&path, "mine").unwrap();
    assert!(Store::open(&path).is_err());
    assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
}

#[test]
fn digests_forget_a_file_that_changed() {
    let (folder, store) = store();
    let path = folder.path().join("x.png");
    let keep = |bytes: &[u8], digests: &mut Digests| {
        fs::write(&path, bytes).unwrap();
        let stat = RealHost.stat(&path).unwrap();
        digests.remember(&path, &Key::of(bytes), stat);
        digests.save().unwrap();
    };
    let remembered = || Digests::open(&store).remembered(&path, &RealHost);
    assert_eq!(remembered(), None);
    keep(b"four", &mut Digests::open(&store));
    assert_eq!(remembered(), Some(Key::of(b"four")));

    // Another size, the old time.
    let time = fs::metadata(&path).unwrap().modified().unwrap();
    let set_time = |time: SystemTime| File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
    fs::write(&path, b"fiver").unwrap();
    set_time(time);
    assert_eq!(remembered(), None);

    // Another time, the old size.
    keep(b"four", &mut Digests::open(&store));
    assert_eq!(remembered(), Some(Key::of(b"four")));
    set_time(time + Duration::from_secs(1));
    assert_eq!(remembered(), None);

    // Another file of the same size and time.
    keep(b"four", &mut Digests::open(&store));
    let time = fs::metadata(&path).unwrap().modified().unwrap();
    let other = folder.path().join("other.png");
    fs::write(&other, b"five").unwrap();
    File::options().write(true).open(&other).unwrap().set_modified(time).unwrap();
    fs::rename(&other, &path).unwrap();
    assert_eq!(remembered(), None);

    fs::remove_file(&path).unwrap();
    assert_eq!(remembered(), None);
}

#[test]
fn a_file_that_changes_while_it_is_read_is_read_again() {
    let (folder, store) = store();
    let path = folder.path().join("x.png");
    fs::write(&path, b"before").unwrap();
    let stat = RealHost.stat(&path).unwrap();
    let digest = Key::of(&fs::read(&path).unwrap());
    fs::write(&path, b"after it").unwrap();
    let mut digests = Digests::open(&store);
    digests.remember(&path, &digest, stat);
    assert_eq!(digests.remembered(&path, &RealHost), None);
}

#[test]
fn a_damaged_list_of_digests_is_an_empty_one() {
    let (folder, store) = store();
    let path = folder.path().join("x.png");
    fs::write(&path, b"four").unwrap();
    let mut digests = Digests::open(&store);
    digests.remember(&path, &Key::of(b"four"), RealHost.stat(&path).unwrap());
    digests.save().unwrap();
    let list = store.root().join("digests.json");
    let whole = fs::read(&list).unwrap();
    fs::write(&list, &whole[..whole.len() / 2]).unwrap();
    assert_eq!(Digests::open(&store).remembered(&path, &RealHost), None);
    fs::write(&list, String::from_utf8(whole).unwrap().replace(Key::of(b"four").as_str(), "../../x")).unwrap();
    assert_eq!(Digests::open(&store).remembered(&path, &RealHost), None);
}

#[test]
fn a_run_folder_is_for_one_and_is_finished_last() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("runs/x");
    let run = RunFolder::open(&root).unwrap().unwrap();
    assert!(RunFolder::open(&root).unwrap().is_none());
    let files = |folds: u32| -> Vec<(String, Vec<u8>)> {
        let of =
            |fold| ["model.safetensors", "config.json"].map(|name| (format!("models/fold-{fold}/{name}"), vec![1]));
        let models = (0..folds).flat_map(of);
        [("record.json".to_owned(), b"{}".to_vec())].into_iter().chain(models).collect()
    };
    run.publish("", &files(3), "three").unwrap();
    fs::write(root.join("models/mine.safetensors"), "mine").unwrap();
    fs::write(root.join("models/fold-1/README.md"), "mine").unwrap();
    fs::write(root.join("notes.txt"), "mine").unwrap();
    run.publish("", &files(2), "two").unwrap();
    assert_eq!(names(root.join("models")), ["fold-0", "fold-1", "mine.safetensors"]);
    assert_eq!(names(root.join("models/fold-1")), ["README.md", "config.json", "model.safetensors"]);
    run.publish("", &files(1), "one").unwrap();
    assert_eq!(names(root.join("models/fold-1")), ["README.md"]);
    run.publish("", &files(2), "two").unwrap();
    assert_eq!(fs::read_to_string(root.join("manifest.yaml")).unwrap(), "two");
    assert_eq!(fs::read_to_string(root.join("notes.txt")).unwrap(), "mine");

    // A folder in a file's place: nothing says that this run is finished.
    fs::remove_file(root.join("record.json")).unwrap();
    fs::create_dir(root.join("record.json")).unwrap();
    assert!(run.publish("", &files(2), "again").is_err());
    assert!(!root.join("manifest.yaml").exists());
    drop(run);
    assert!(RunFolder::open(&root).unwrap().is_some());
}

#[test]
fn files_are_replaced_whole() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.txt");
    write_whole(&path, b"first").unwrap();
    write_whole(&path, b"second").unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"second");
    assert!(write_whole(&folder.path().join("no/x.txt"), b"x").is_err());
    assert_eq!(names(folder.path()), ["x.txt"]);
}

#[test]
fn a_bounded_store_lets_go_of_what_was_unused_for_longest() {
    let (_folder, store) = store();
    let keys: Vec<Key> = [b"1", b"2", b"3", b"4"].map(|name: &[u8; 1]| Key::of(name)).to_vec();
    for (index, key) in keys.iter().enumerate() {
        commit(&store, key, &[7; 10_000]);
        // Made in the order of their numbers, a day each.
        let day = SystemTime::UNIX_EPOCH + Duration::from_secs(86_400 * (1 + index as u64));
        File::options().append(true).open(node(&store, key).join("manifest.json")).unwrap().set_modified(day).unwrap();
    }
    let there = || keys.iter().map(|key| present(&store, key).is_some()).collect::<Vec<bool>>();
    let all = store.bound(u64::MAX, &[]).unwrap();
    assert!((40_000..44_000).contains(&all.left) && all.nodes == 0, "{all:?}");
    // The first is used now, so the second is the oldest.
    let freed = store.bound(35_000, &[&keys[0]]).unwrap();
    assert_eq!((freed.nodes, there()), (1, vec![true, false, true, true]));
    assert_eq!(freed.bytes + freed.left, all.left);
    // A damaged node is of no use and goes first.
    fs::remove_file(node(&store, &keys[3]).join("manifest.json")).unwrap();
    assert_eq!((store.bound(25_000, &[]).unwrap().nodes, there()), (1, vec![true, false, true, false]));
    // What is used stays, however small the bound; the first was used after the third was made.
    let freed = store.bound(0, &[&keys[0]]).unwrap();
    assert_eq!((freed.nodes, there()), (1, vec![true, false, false, false]));
    assert!(freed.left > 0);
    assert_eq!(names(store.root().join("drafts")), Vec::<String>::new());
    assert_eq!((store.bound(0, &[]).unwrap().left, there()), (0, vec![false; 4]));
}
