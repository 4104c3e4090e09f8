//! Contents, seen from outside.

use crate::support::{archive, corpora};

#[test]
fn archives_give_every_file() {
    let Some(corpora) = corpora() else { return };
    let files = archive::open(&corpora.join("attachments/dedup-threads/messages.tar.zst")).collect::<Vec<_>>();
    let messages = files.iter().filter(|file| file.path.ends_with(".eml")).collect::<Vec<_>>();
    assert_eq!(messages.len(), 54);
    assert_eq!(messages.iter().map(|message| message.octets.len()).sum::<usize>(), 23_808_656);
}
