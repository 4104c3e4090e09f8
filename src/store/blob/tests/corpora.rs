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
    let list = std::fs::read_to_string(folder.join("attachments/dedup-threads/parts.tsv")).unwrap();
    let rows = list.lines().skip(1).map(|row| row.split('\t').collect::<Vec<_>>());
    let large =
        rows.map(|row| (row[1].to_owned(), row[2].parse::<u64>().unwrap())).filter(|(_, octets)| *octets >= 4096);
    let large = large.collect::<Vec<_>>();
    let unique = large.iter().collect::<std::collections::HashSet<_>>();
    assert_eq!((statistics.parts, statistics.unique_parts), (large.len() as u64, unique.len() as u64));
    assert_eq!(statistics.unique_part_octets, unique.iter().map(|(_, octets)| octets).sum::<u64>());
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
