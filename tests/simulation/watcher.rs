//! Clients that follow a mailbox: one that only reacts to what IDLE pushes (P8), and one that asks for what changed since
//! it last asked (P5).

use super::{
    epoch::{Epoch, Over},
    imap::{Imap, Response},
    listing::{flags_of, one, select, shown},
    model::Flags,
    random::Random,
};
use std::{collections::BTreeMap, io, time::Duration};
use tokio::time::timeout;

/// A mailbox as a client knows it.
type Known = BTreeMap<u32, Flags>;

/// How long after the last change everything has arrived, networks and pauses included.
const SETTLED: Duration = Duration::from_secs(30);

/// Follows a mailbox by IDLE alone, and at rest knows what a new client is shown.
pub async fn idle(epoch: Epoch, who: String, account: usize, mailbox: &'static str) {
    if let Err(error) = follow_pushes(&epoch, &who, account, mailbox).await {
        let Over = epoch.over(&who, &error);
    }
}

async fn follow_pushes(epoch: &Epoch, who: &str, account: usize, mailbox: &'static str) -> io::Result<()> {
    let mut imap = Imap::open(&epoch.world, who, account).await?;
    let (selected, _) = select(&mut imap, &epoch.model, account, mailbox).await?;
    // What it was told, in the order of sequence numbers. A message that was only counted is not known yet.
    let mut view: Vec<Option<(u32, Flags)>> = vec![None; selected.exists().unwrap_or(0) as usize];
    loop {
        if !view.is_empty() {
            for response in imap.ok("FETCH 1:* (UID FLAGS)").await?.untagged {
                take(&mut view, &response);
            }
        }
        imap.idle().await?;
        // A new message is only counted, and has to be asked for.
        while view.iter().all(Option::is_some) {
            let Ok(pushed) = timeout(SETTLED, imap.response()).await else {
                if epoch.is_at_rest() {
                    return compare(epoch, who, account, mailbox, view.into_iter().flatten().collect(), "P8").await;
                }
                continue;
            };
            take(&mut view, &pushed?);
        }
        for response in imap.done().await?.untagged {
            take(&mut view, &response);
        }
    }
}

/// One response changes the view as RFC 9051 §7.5 says.
fn take(view: &mut Vec<Option<(u32, Flags)>>, response: &Response) {
    let text = response.text.trim_start_matches("* ");
    let Some((number, rest)) = text.split_once(' ') else { return };
    let Ok(number) = number.parse::<usize>() else { return };
    match rest.split(' ').next() {
        Some("EXISTS") => {
            assert!(number >= view.len(), "P8: EXISTS fell without EXPUNGE");
            view.resize(number, None);
        }
        Some("EXPUNGE") => {
            assert!((1..=view.len()).contains(&number), "P8: EXPUNGE of {number}, there are {}", view.len());
            view.remove(number - 1);
        }
        Some("FETCH") => {
            if view.len() < number {
                view.resize(number, None);
            }
            let flags = flags_of(rest);
            if let (Some((_, shown)), Some(flags)) = (one(response), flags.clone()) {
                view[number - 1] = Some((shown.uid, flags));
            } else if let (Some(known), Some(flags)) = (&mut view[number - 1], flags) {
                known.1 = flags;
            }
        }
        _ => {}
    }
}

/// What a new client is shown is what this one knows.
async fn compare(
    epoch: &Epoch,
    who: &str,
    account: usize,
    mailbox: &'static str,
    known: Known,
    promise: &str,
) -> io::Result<()> {
    let mut imap = Imap::open(&epoch.world, &format!("{who}-new"), account).await?;
    select(&mut imap, &epoch.model, account, mailbox).await?;
    let there = shown(&imap.ok("UID FETCH 1:* (FLAGS)").await?.untagged);
    let there: Known = there.into_iter().map(|shown| (shown.uid, shown.flags)).collect();
    assert_eq!(known, there, "{promise}: what {who} knows of {mailbox} of user {account}, and what is there");
    Ok(())
}

/// Follows a mailbox by CHANGEDSINCE, over connections of its own, and at rest knows what a new client is shown.
pub async fn ask(epoch: Epoch, who: String, mut random: Random, account: usize, mailbox: &'static str) {
    let (mut known, mut since) = (Known::new(), 1);
    loop {
        let at_rest = epoch.is_at_rest();
        if at_rest {
            tokio::time::sleep(SETTLED).await;
        }
        if let Err(error) = changes(&epoch, &who, (account, mailbox), &mut known, &mut since).await {
            let Over = epoch.over(&who, &error);
            return;
        }
        if at_rest {
            let compared = compare(&epoch, &who, account, mailbox, known, "P5").await;
            if let Err(error) = compared {
                let Over = epoch.over(&who, &error);
            }
            return;
        }
        epoch.wait(&mut random, 700).await;
    }
}

/// Asks what changed above `since`, and moves that on to what SELECT said.
async fn changes(
    epoch: &Epoch,
    who: &str,
    (account, mailbox): (usize, &'static str),
    known: &mut Known,
    since: &mut u64,
) -> io::Result<()> {
    let mut imap = Imap::open(&epoch.world, who, account).await?;
    let (answer, _) = select(&mut imap, &epoch.model, account, mailbox).await?;
    let highest: u64 = answer.code("HIGHESTMODSEQ").unwrap().parse().unwrap();
    let changed = shown(&imap.ok(&format!("UID FETCH 1:* (FLAGS) (CHANGEDSINCE {since})")).await?.untagged);
    for shown in changed {
        let modseq = shown.modseq.expect("CHANGEDSINCE gives MODSEQ");
        assert!(modseq > *since, "P5: {modseq} is not above {since}");
        known.insert(shown.uid, shown.flags);
    }
    let all = imap.ok("UID SEARCH ALL").await?.search();
    known.retain(|uid, _| all.contains(uid));
    // What came after SELECT is asked for again: it lies above what SELECT said.
    *since = highest.max(1);
    imap.command("LOGOUT").await.map(drop).or(Ok(()))
}
