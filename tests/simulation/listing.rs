//! What a client sees of a mailbox, held against what the model knows (P3, P4, P6, P7).

use super::{
    imap::{Answer, Imap, Response},
    letter::{self, Letter, WORDS},
    model::{Flags, Key, MAILBOXES, Model},
    random::Random,
    world::{ACCOUNTS, World},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    io,
};

/// One message as FETCH shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    pub uid: u32,
    pub token: Option<u32>,
    pub flags: Flags,
    pub modseq: Option<u64>,
    pub size: Option<usize>,
    pub body: Option<Vec<u8>>,
}

/// The messages of FETCH responses, in their order.
pub fn shown(responses: &[Response]) -> Vec<Shown> {
    responses.iter().filter_map(|response| one(response).map(|(_, shown)| shown)).collect()
}

/// Sequence number and message of a FETCH response that has a UID.
pub fn one(response: &Response) -> Option<(u32, Shown)> {
    let (number, rest) = response.text.split_once(" FETCH ")?;
    let number = number.trim_start_matches("* ").parse().ok()?;
    let field = |name: &str| {
        let (_, rest) = rest.split_once(&format!("{name} "))?;
        Some(rest.split([' ', ')']).next().unwrap_or_default().trim_start_matches('('))
    };
    let body = response.literals.first().cloned();
    let shown = Shown {
        uid: field("UID")?.parse().ok()?,
        token: body.as_deref().and_then(letter::token_of),
        flags: flags_of(rest).unwrap_or_default(),
        modseq: field("MODSEQ").and_then(|modseq| modseq.parse().ok()),
        size: field("RFC822.SIZE").and_then(|size| size.parse().ok()),
        body,
    };
    Some((number, shown))
}

/// The flags of a FETCH response. `\Recent` is not stored.
pub fn flags_of(text: &str) -> Option<Flags> {
    let (_, flags) = text.split_once("FLAGS (")?;
    let (flags, _) = flags.split_once(')')?;
    Some(flags.split_ascii_whitespace().filter(|flag| *flag != "\\Recent").map(str::to_owned).collect())
}

/// Selects a mailbox; checks that UIDNEXT and mod-sequence never fall.
pub async fn select(
    imap: &mut Imap,
    model: &Model,
    account: usize,
    mailbox: &'static str,
) -> io::Result<(Answer, u32)> {
    let before = model.lock().told(account, mailbox);
    let answer = imap.ok(&format!("SELECT {mailbox} (CONDSTORE)")).await?;
    let number =
        |name: &str| answer.code(name).unwrap_or_else(|| panic!("SELECT without {name}")).parse::<u64>().unwrap();
    let (validity, uid_next) = (number("UIDVALIDITY") as u32, number("UIDNEXT") as u32);
    model.lock().tell(account, mailbox, before, (uid_next, number("HIGHESTMODSEQ")));
    Ok((answer, validity))
}

/// The selected mailbox, without bodies. It showed so many messages; `certain` was known before it was selected.
pub async fn list(
    imap: &mut Imap,
    model: &Model,
    (account, mailbox): (usize, &'static str),
    validity: u32,
    (exists, certain): (usize, &BTreeMap<u32, u64>),
) -> io::Result<BTreeMap<u32, u32>> {
    let answer = imap.ok("UID FETCH 1:* (FLAGS BODY.PEEK[HEADER.FIELDS (X-Token)])").await?;
    let mut model = model.lock();
    let mut uids = BTreeMap::new();
    let mut last = 0;
    for shown in shown(&answer.untagged).into_iter().filter(|shown| shown.body.is_some()) {
        let token = shown.token.unwrap_or_else(|| panic!("P3: UID {} has no token", shown.uid));
        assert!(shown.uid > last, "P4: UIDs out of order in {mailbox}");
        last = shown.uid;
        model.saw(account, mailbox, validity, shown.uid, token);
        assert!(uids.insert(token, shown.uid).is_none(), "P1: letter {token} is twice in {mailbox} of user {account}");
    }
    let expunged = answer.untagged.iter().filter(|response| response.text.ends_with(" EXPUNGE")).count();
    assert!(uids.len() + expunged >= exists, "P6: EXISTS {exists}, {} fetched, {expunged} expunged", uids.len());
    for token in model.still_certain(certain) {
        assert!(uids.contains_key(&token), "P1: letter {token} is not in {mailbox} of user {account}");
    }
    Ok(uids)
}

/// Whether a body is the letter's, with nothing but trace fields in front (P3).
pub fn check_body(letter: &Letter, body: &[u8]) {
    let token = letter.token;
    let trace = body.strip_suffix(letter.raw.as_slice()).unwrap_or_else(|| {
        panic!("P3: the octets of letter {token} are not those that were sent: {} for {}", body.len(), letter.raw.len())
    });
    let trace = String::from_utf8_lossy(trace);
    let mut lines = trace.split_terminator("\r\n");
    let begins = |line: &str| {
        line.starts_with([' ', '\t'])
            || ["Return-Path:", "Received:", "Delivered-To:", "Authentication-Results:", "Received-SPF:", "X-Postern-"]
                .iter()
                .any(|name| line.starts_with(name))
    };
    assert!(lines.all(begins), "P3: something stands before letter {token}: {trace}");
}

/// Everything, as a client sees it at rest: each listing of each mailbox is the same (P6), and each body is right (P3).
pub async fn everything(world: &World, model: &Model, random: &mut Random) -> io::Result<BTreeMap<Key, Flags>> {
    let mut there = BTreeMap::new();
    for account in 0..ACCOUNTS {
        let mut imap = Imap::open(world, "checker", account).await?;
        for mailbox in MAILBOXES {
            if imap.command(&format!("STATUS {mailbox} (MESSAGES)")).await?.is_ok() {
                mailbox_at_rest(&mut imap, model, (account, mailbox), random, &mut there).await?;
            }
        }
        imap.command("LOGOUT").await.ok();
    }
    Ok(there)
}

async fn mailbox_at_rest(
    imap: &mut Imap,
    model: &Model,
    (account, mailbox): (usize, &'static str),
    random: &mut Random,
    there: &mut BTreeMap<Key, Flags>,
) -> io::Result<()> {
    let status = imap.ok(&format!("STATUS {mailbox} (MESSAGES UNSEEN UIDNEXT HIGHESTMODSEQ)")).await?;
    let status = status.find("STATUS").unwrap().to_owned();
    let number = |name: &str| {
        let (_, rest) = status.split_once(&format!("{name} ")).unwrap();
        rest.split([' ', ')']).next().unwrap().parse::<u64>().unwrap()
    };
    let (selected, validity) = select(imap, model, account, mailbox).await?;
    let all = imap.ok("UID SEARCH ALL").await?.search();
    let answer = imap.ok("UID FETCH 1:* (FLAGS MODSEQ RFC822.SIZE BODY.PEEK[])").await?;
    let messages = shown(&answer.untagged);
    let uids: Vec<u32> = messages.iter().map(|shown| shown.uid).collect();
    let place = format!("{mailbox} of user {account}");
    assert_eq!(uids, all, "P6: FETCH and SEARCH ALL in {place}");
    assert_eq!(selected.exists(), Some(uids.len() as u32), "P6: EXISTS and FETCH in {place}");
    assert_eq!(number("MESSAGES"), uids.len() as u64, "P6: STATUS and FETCH in {place}");
    let unseen = messages.iter().filter(|shown| !shown.flags.contains("\\Seen")).count() as u64;
    assert_eq!(number("UNSEEN"), unseen, "P6: UNSEEN in {place}");
    assert!(uids.last().is_none_or(|uid| u64::from(*uid) < number("UIDNEXT")), "P4: UIDNEXT in {place}");
    assert!(uids.is_sorted_by(|one, other| one < other), "P4: UIDs rise in {place}");
    let mut modseqs = BTreeSet::new();
    let mut words: BTreeMap<u32, Vec<&'static str>> = BTreeMap::new();
    for shown in messages {
        let token = shown.token.unwrap_or_else(|| panic!("P3: UID {} in {place} has no token", shown.uid));
        let mut model = model.lock();
        model.saw(account, mailbox, validity, shown.uid, token);
        let letter = model.letters.get(&token).unwrap_or_else(|| panic!("P1: letter {token} was never sent"));
        let body = shown.body.unwrap_or_default();
        assert_eq!(shown.size, Some(body.len()), "P3: RFC822.SIZE of letter {token} in {place}");
        check_body(letter, &body);
        words.insert(shown.uid, letter.words.clone());
        let modseq = shown.modseq.unwrap();
        assert!(modseq <= number("HIGHESTMODSEQ"), "P5: {modseq} is above HIGHESTMODSEQ in {place}");
        modseqs.insert(modseq);
        let twice = there.insert((account, mailbox, token), shown.flags).is_some();
        assert!(!twice, "P1: letter {token} is twice in {place}");
    }
    for word in random.some(WORDS, 2) {
        let found = imap.ok(&format!("UID SEARCH TEXT {word}")).await?.search();
        let scanned: Vec<u32> = words.iter().filter(|(_, words)| words.contains(&word)).map(|(uid, _)| *uid).collect();
        assert_eq!(found, scanned, "P7: SEARCH TEXT {word} in {place}");
    }
    Ok(())
}

/// What the model knows is there, and nothing else (P1, P2).
pub fn compare(there: &BTreeMap<Key, Flags>, model: &Model) {
    let model = model.lock();
    for (key, flags) in &model.messages {
        let shown = there.get(key).unwrap_or_else(|| panic!("P1: {key:?} was acknowledged and is not there"));
        assert_eq!(shown, flags, "P1: flags of {key:?}");
    }
    for key in there.keys() {
        assert!(model.messages.contains_key(key), "P2: {key:?} is there and nobody knows why");
    }
}
