//! P3 over real mail: every message comes back as it was, whole and in ranges, before and after packing.

use super::*;
use std::time::Instant;

/// Messages that are in the store at once.
const BATCH: usize = 1500;

#[derive(Default)]
struct Figures {
    messages: u64,
    base64_parts: u64,
    kept_decoded: u64,
    split_octets: u64,
    split: Duration,
}

#[tokio::test]
async fn every_message_of_the_corpora_comes_back() {
    let Some(folder) = archive::corpora() else { return };
    let mut contents = Contents::new();
    let mut figures = Figures::default();
    let mut entries = ["attachments", "mime", "charsets", "spam", "mailboxes"]
        .into_iter()
        .flat_map(|part| archive::walk(&folder.join(part)));
    loop {
        let batch = entries.by_ref().take(BATCH).map(|entry| entry.octets).collect::<Vec<_>>();
        if batch.is_empty() {
            break;
        }
        check(&mut contents, &batch, &mut figures).await;
    }
    let statistics = contents.blobs.statistics().await.unwrap();
    let rate = figures.split_octets as f64 / figures.split.as_secs_f64() / 1e6;
    println!(
        "{} messages, {} octets raw, {} stored ({:.3})",
        statistics.messages,
        statistics.raw_octets,
        statistics.stored_octets,
        statistics.stored_octets as f64 / statistics.raw_octets as f64
    );
    println!(
        "{} base64 parts of 4 KiB or more, {} kept decoded; {} unique, {} saved; {} of {} octets unique",
        figures.base64_parts,
        figures.kept_decoded,
        statistics.unique_parts,
        statistics.parts_saved(),
        statistics.unique_part_octets,
        statistics.part_octets
    );
    println!(
        "split: {rate:.0} MB/s, {:.1} µs a message; {} contents in {} objects",
        figures.split.as_secs_f64() * 1e6 / figures.messages as f64,
        statistics.contents,
        statistics.packs
    );
    assert_eq!((statistics.orphans, statistics.fresh_octets), (0, 0));
    assert!(figures.kept_decoded * 100 >= figures.base64_parts * 95);
}

/// The set's own list of parts says what de-duplication must find.
#[tokio::test]
async fn the_known_duplicates_are_found() {
    let Some(folder) = archive::corpora() else { return };
    let mut contents = Contents::new();
    for entry in archive::open(&folder.join("attachments/dedup-threads/messages.tar.zst")) {
        contents.deliver(&entry.octets).await;
    }
    contents.blobs.pack_now().await.unwrap();
    let statistics = contents.blobs.statistics().await.unwrap();
    println!("{statistics:?}");
    assert_eq!((statistics.messages, statistics.raw_octets), (54, 23_808_656));
    // 107 parts, 33 unique, 4,102,099 octets by the list, which counts parts under 4 KiB and other encodings too.
    assert!(statistics.unique_parts <= 33 && statistics.parts >= 95, "{statistics:?}");
    assert!(statistics.stored_octets < 4_800_000, "{statistics:?}");
}

async fn check(contents: &mut Contents, batch: &[Vec<u8>], figures: &mut Figures) {
    let mut manifests = Vec::with_capacity(batch.len());
    for raw in batch {
        let analysis = analyse(raw);
        let raw_octets = Bytes::copy_from_slice(raw);
        let start = Instant::now();
        let split = contents.blobs.split(&raw_octets, &analysis.root);
        figures.split += start.elapsed();
        figures.split_octets += raw.len() as u64;
        figures.messages += 1;
        figures.base64_parts += large_base64_parts(&analysis.root);
        figures.kept_decoded += split.manifest.parts().count() as u64;
        manifests.push(contents.deliver(raw).await);
    }
    compare(contents, batch, &manifests).await;
    contents.blobs.pack_now().await.unwrap();
    compare(contents, batch, &manifests).await;
}

async fn compare(contents: &Contents, batch: &[Vec<u8>], manifests: &[Manifest]) {
    for (raw, manifest) in batch.iter().zip(manifests) {
        assert!(contents.read(manifest).await.unwrap() == *raw);
        check_ranges(contents, raw, manifest, 2).await;
    }
}

fn large_base64_parts(part: &Part) -> u64 {
    use crate::message::Body;
    match &part.content {
        Body::Leaf => u64::from(part.encoding == "base64" && (part.body.end - part.body.start) / 78 * 57 >= 4096),
        Body::Multipart(parts) => parts.iter().map(large_base64_parts).sum(),
        Body::Message(_, message) => large_base64_parts(message),
    }
}
