//! The packer ends at each of its failpoints; nothing is lost, and the next run finishes the work.
//! The process that ends is this test binary, told by its environment what to do.

use super::*;
use std::process::Command;

const FOLDER: &str = "POSTERN_TEST_PACK_FOLDER";

/// What the ending process does: packs the store in the folder that it is given.
#[tokio::test]
async fn pack_in_a_process_of_its_own() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let (_engine, blobs) = open(Path::new(&folder), &Clock::simulated(START, 99));
    blobs.pack_now().await.unwrap();
}

#[tokio::test]
async fn a_crash_of_the_packer_loses_nothing() {
    for (point, orphans) in [
        ("pack.gathered", 0),
        ("pack.written", 1),
        ("pack.committed", 1),
        ("pack.cleaned", 0),
        ("pack.written:2", 1),
        ("pack.committed:2", 0),
    ] {
        let mut contents = Contents::new();
        let mut delivered = Vec::new();
        // Two packs' worth: 24 contents of just under 1 MiB are more than one pack's target.
        for number in 0..24_u64 {
            let file = noise(1_000_000, 200 + number % 22);
            let raw = message(&format!("crash {number}"), &[&file, &noise(5000, 300)], 76);
            delivered.push((contents.deliver(&raw).await, raw));
        }
        let Contents { folder, engine, blobs, clock, .. } = contents;
        drop((engine, blobs));

        assert!(!pack_elsewhere(folder.path(), Some(point)), "{point} was not reached");
        let (engine, blobs) = open(folder.path(), &clock);
        let contents = Contents { folder, engine, blobs, clock, delivered: 0 };
        let after_crash = contents.blobs.statistics().await.unwrap();
        assert!(after_crash.orphans >= orphans, "{point}: {after_crash:?}");
        assert_eq!((after_crash.messages, after_crash.parts, after_crash.unique_parts), (24, 48, 23), "{point}");
        check(&contents, &delivered).await;

        contents.blobs.pack_now().await.unwrap();
        check(&contents, &delivered).await;
        let done = contents.blobs.statistics().await.unwrap();
        assert_eq!((done.fresh_octets, done.messages, done.unique_parts), (0, 24, 23), "{point}");
        assert_eq!(done.orphans, after_crash.orphans, "{point}: the next run leaves none of its own");
        assert!(contents.blobs.verify(|_| {}).await.unwrap().damage.is_empty());
    }
}

/// Whether the process came to its end.
fn pack_elsewhere(folder: &Path, failpoint: Option<&str>) -> bool {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "store::blob::tests::crash::pack_in_a_process_of_its_own", "--nocapture"]);
    command.env(FOLDER, folder).env("POSTERN_FAILPOINT", failpoint.unwrap_or_default());
    command.output().unwrap().status.success()
}

async fn check(contents: &Contents, delivered: &[(Manifest, Vec<u8>)]) {
    for (manifest, raw) in delivered {
        assert!(contents.read(manifest).await.unwrap() == *raw);
    }
}
