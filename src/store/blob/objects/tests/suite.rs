//! The behaviours that every place has to show. Each leaves nothing behind.

use super::super::*;
use crate::clock::{Clock, UnixMillis};

/// Everything but large objects.
pub(super) async fn run(objects: &Objects) {
    objects.probe(7).await.unwrap();
    puts(objects).await;
    ranges(objects).await;
    names(objects).await;
    listings(objects).await;
    deletions(objects).await;
    rivals(objects).await;
    assert_eq!(objects.list("").await.unwrap(), []);
}

fn noise(length: usize, seed: u64) -> Bytes {
    let mut octets = vec![0; length];
    Clock::simulated(UnixMillis(0), seed.wrapping_mul(0x1234_5678_9abc_def1)).fill_random(&mut octets);
    octets.into()
}

async fn remove(objects: &Objects, names: &[&str]) {
    for name in names {
        objects.delete(name).await.unwrap();
    }
}

async fn puts(objects: &Objects) {
    let name = "packs/00001/0000000000000001";
    let put = |pieces: &[&'static [u8]]| {
        let pieces = pieces.iter().map(|piece| Bytes::from_static(piece)).collect();
        objects.put_if_absent(name, pieces)
    };
    assert_eq!(objects.get(name).await.unwrap(), None);
    assert_eq!(objects.octets(name).await.unwrap(), None);
    assert_eq!(put(&[b"one", b"", b" and two"]).await.unwrap(), Written::New);
    assert_eq!(put(&[b"one and", b" two"]).await.unwrap(), Written::Same);
    // Of the same length, of another, and none.
    for other in [&b"one and too"[..], b"one", b""] {
        assert_eq!(put(&[other]).await.unwrap(), Written::Other);
    }
    assert!(objects.put(name, vec![Bytes::from_static(b"three")]).await.is_err());
    objects.put(name, vec![Bytes::from_static(b"one and two")]).await.unwrap();
    assert_eq!(objects.get(name).await.unwrap().unwrap(), "one and two");
    assert_eq!(objects.octets(name).await.unwrap(), Some(11));
    objects.put("empty", vec![]).await.unwrap();
    assert_eq!(objects.get("empty").await.unwrap().unwrap(), "");
    remove(objects, &[name, "empty"]).await;
}

async fn ranges(objects: &Objects) {
    let (name, octets) = ("packs/00001/0000000000000002", noise(100_000, 2));
    objects.put(name, vec![octets.clone()]).await.unwrap();
    for range in [0..1, 0..100_000, 50_000..50_001, 12_345..67_890, 99_999..100_000, 7..7, 100_000..100_000] {
        let read = objects.get_range(name, range.clone()).await.unwrap().unwrap();
        assert!(read == octets.slice(range.start as usize..range.end as usize), "{range:?}");
    }
    for past in [99_999..100_001, 100_000..100_001, 0..200_000, 200_000..200_001] {
        let read = objects.get_range(name, past.clone()).await;
        assert!(matches!(read, Err(StoreError::Damaged(_))), "{past:?}: {read:?}");
    }
    assert_eq!(objects.get_range("packs/00001/none", 0..1).await.unwrap(), None);
    assert_eq!(objects.get_range("packs/00001/none", 0..0).await.unwrap(), None);
    remove(objects, &[name]).await;
}

/// Every octet that stands in a name of ours, and those that services treat in ways of their own.
async fn names(objects: &Objects) {
    let names = [
        "packs/00702/0123456789abcdef",
        "index/18446744073709551615/0123456789abcdef0123456789abcdef",
        "index/1/01234567-89ab-cdef-0123-456789abcdef",
        "installation",
        "a/b/c/d/e/f",
        "ABCDEFGHIJKLMNOPQRSTUVWXYZ/abcdefghijklmnopqrstuvwxyz_0123456789-.json",
        "2026-11-25T10:00:00Z/a b+c=d&e,f@g",
        "a..b/c.d.e",
    ];
    for name in names {
        objects.put(name, vec![Bytes::from(name)]).await.unwrap();
    }
    for name in names {
        assert_eq!(objects.get(name).await.unwrap().unwrap(), name);
        assert_eq!(objects.get_range(name, 2..4).await.unwrap().unwrap(), name[2..4]);
    }
    let listed: Vec<String> = sorted(objects, "").await.into_iter().map(|(name, _)| name).collect();
    let mut wanted = names.to_vec();
    wanted.sort_unstable();
    assert_eq!(listed, wanted);
    remove(objects, &names).await;
    for bad in ["a//b", "a/../b"] {
        assert!(objects.put(bad, vec![]).await.is_err(), "{bad}");
    }
}

async fn sorted(objects: &Objects, prefix: &str) -> Vec<(String, u64)> {
    let mut listed = objects.list(prefix).await.unwrap();
    listed.sort();
    listed
}

async fn listings(objects: &Objects) {
    let names = ["packs/00001/a", "packs/00001/b", "packs/00002/a", "packs-old/a", "pack", "index/1/a"];
    for (length, name) in names.iter().enumerate() {
        objects.put(name, vec![noise(length, 3)]).await.unwrap();
    }
    let pairs = |pairs: &[(&str, u64)]| pairs.iter().map(|(name, length)| ((*name).to_owned(), *length)).collect();
    let list = |prefix| sorted(objects, prefix);
    let packs: Vec<_> = pairs(&[("packs/00001/a", 0), ("packs/00001/b", 1), ("packs/00002/a", 2)]);
    assert_eq!(list("packs").await, packs);
    assert_eq!(list("packs/00002").await, packs[2..]);
    assert_eq!(list("packs/0000").await, []);
    assert_eq!(list("none").await, []);
    assert_eq!(list("").await.len(), 6);
    remove(objects, &names).await;
}

async fn deletions(objects: &Objects) {
    let name = "packs/00001/0000000000000003";
    objects.put(name, vec![noise(10, 4)]).await.unwrap();
    remove(objects, &[name, name, "packs/00001/none", "none"]).await;
    assert_eq!(objects.get(name).await.unwrap(), None);
    assert_eq!(objects.list("packs").await.unwrap(), []);
    // The name is free again.
    let other = noise(10, 5);
    assert_eq!(objects.put_if_absent(name, vec![other.clone()]).await.unwrap(), Written::New);
    assert_eq!(objects.get(name).await.unwrap().unwrap(), other);
    remove(objects, &[name]).await;
}

/// Of several puts of one name at once one wins, and what is there is the winner's.
async fn rivals(objects: &Objects) {
    for round in 0..5 {
        let name = format!("packs/00001/{round:016x}");
        let octets = |rival: u64| noise(20_000, 100 + 10 * round + rival);
        let puts = (0..6).map(|rival| objects.put_if_absent(&name, vec![octets(rival)]));
        let written = futures_util::future::join_all(puts).await;
        let winners: Vec<u64> =
            (0..).zip(&written).filter(|(_, w)| matches!(w, Ok(Written::New))).map(|(r, _)| r).collect();
        let [winner] = winners[..] else { panic!("{written:?}") };
        assert_eq!(objects.get(&name).await.unwrap().unwrap(), octets(winner));
        let same = (0..4).map(|_| objects.put_if_absent(&name, vec![octets(winner)]));
        for written in futures_util::future::join_all(same).await {
            assert!(matches!(written, Ok(Written::New | Written::Same)), "{written:?}");
        }
        remove(objects, &[&name]).await;
    }
}

/// An object that travels in parts where the place takes parts.
pub(super) async fn large(objects: &Objects) {
    let name = "packs/00001/00000000000000ff";
    // Repeats out of step with the parts, so that parts in the wrong order would show.
    let octets: Bytes = noise(1_000_003, 6).repeat(limits::OBJECT_WHOLE_OCTETS_MAX as usize / 1_000_000).into();
    let (one, other) = (octets.slice(..20_000_001), octets.slice(20_000_001..));
    assert_eq!(objects.put_if_absent(name, vec![one.clone(), other.clone()]).await.unwrap(), Written::New);
    assert_eq!(objects.put_if_absent(name, vec![one.clone(), other]).await.unwrap(), Written::Same);
    assert_eq!(objects.put_if_absent(name, vec![octets.slice(1..)]).await.unwrap(), Written::Other);
    assert!(objects.get(name).await.unwrap().unwrap() == octets);
    let across = 8 * 1024 * 1024 - 10..8 * 1024 * 1024 + 10;
    assert_eq!(
        objects.get_range(name, across).await.unwrap().unwrap(),
        octets.slice(8 * 1024 * 1024 - 10..8 * 1024 * 1024 + 10)
    );
    let end = octets.len() as u64;
    assert_eq!(objects.get_range(name, end - 5..end).await.unwrap().unwrap(), octets.slice(octets.len() - 5..));
    assert_eq!(objects.list("packs").await.unwrap(), [(name.to_owned(), end)]);
    remove(objects, &[name]).await;
}
