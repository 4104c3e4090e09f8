//! Somebody at a mail client, who appends, copies, moves, flags, expunges, reads and searches (P1-P4, P6, P7).

use super::{
    epoch::{Epoch, Over},
    imap::Imap,
    letter::{Letter, WORDS},
    listing::{check_body, list, select},
    model::{Edit, Flags, MAILBOXES},
    random::Random,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    sync::Arc,
};

/// Works on an account until it has done so much, or the server goes down.
pub async fn run(epoch: Epoch, who: String, mut random: Random, account: usize, operations: usize) {
    let mut done = 0;
    while done < operations && !epoch.is_over() {
        let mut owner = match Imap::open(&epoch.world, &who, account).await {
            Ok(imap) => Owner { epoch: epoch.clone(), who: who.clone(), account, imap },
            Err(error) => {
                let Over = epoch.over(&who, &error);
                return;
            }
        };
        while done < operations {
            done += 1;
            epoch.wait(&mut random, 300).await;
            match owner.operation(&mut random).await {
                Ok(true) => {}
                // The connection was cut on purpose.
                Ok(false) => break,
                Err(error) => {
                    let Over = epoch.over(&who, &error);
                    return;
                }
            }
        }
    }
}

struct Owner {
    epoch: Epoch,
    who: String,
    account: usize,
    imap: Imap,
}

/// Messages of the selected mailbox that this client has claimed, and where they are.
struct Claimed {
    mailbox: &'static str,
    /// In the order of UIDs.
    tokens: Vec<u32>,
    uids: String,
}

impl Owner {
    /// One operation. `false` where the connection is gone.
    async fn operation(&mut self, random: &mut Random) -> io::Result<bool> {
        let mailbox = *random.of(&MAILBOXES);
        if random.one_in(5) {
            return self.append(mailbox, random).await;
        }
        let certain = self.epoch.model.lock().certain(self.account, mailbox);
        let (answer, validity) = select(&mut self.imap, &self.epoch.model, self.account, mailbox).await?;
        let exists = answer.exists().unwrap_or(0) as usize;
        let place = (self.account, mailbox);
        let uids = list(&mut self.imap, &self.epoch.model, place, validity, (exists, &certain)).await?;
        match random.below(9) {
            0 => self.search(&uids, &certain, random).await.map(|()| true),
            1 | 2 => self.read(&uids, random).await.map(|()| true),
            3 | 4 => self.store(mailbox, &uids, random).await,
            5 => self.expunge(mailbox, &uids, random).await,
            6 => self.transfer("COPY", mailbox, &uids, random).await,
            _ => self.transfer("MOVE", mailbox, &uids, random).await,
        }
    }

    /// Claims a few messages that are `fit`.
    fn claim(
        &self,
        mailbox: &'static str,
        uids: &BTreeMap<u32, u32>,
        random: &mut Random,
        fit: impl Fn(&super::model::State, u32) -> bool,
    ) -> Option<Claimed> {
        let mut model = self.epoch.model.lock();
        let free = model.free(self.account, mailbox);
        let fit: Vec<u32> = free.into_iter().filter(|token| uids.contains_key(token) && fit(&model, *token)).collect();
        if fit.is_empty() {
            return None;
        }
        let tokens = random.some(&fit, 4);
        model.claim(&tokens);
        let by_uid: BTreeMap<u32, u32> = tokens.into_iter().map(|token| (uids[&token], token)).collect();
        let uids: Vec<String> = by_uid.keys().map(u32::to_string).collect();
        Some(Claimed { mailbox, tokens: by_uid.into_values().collect(), uids: uids.join(",") })
    }

    /// Runs a command that makes these edits, or breaks the connection in its middle.
    async fn change(
        &mut self,
        command: &str,
        edits: Vec<Edit>,
        random: &mut Random,
    ) -> io::Result<Option<super::imap::Answer>> {
        if random.one_in(12) {
            self.epoch.model.lock().doubt(edits);
            self.imap.send_and_cut(format!("cut {command}\r\n").as_bytes(), random.below(40) as u64).await;
            return Ok(None);
        }
        match self.imap.command(command).await {
            Ok(answer) if answer.is_ok() => {
                self.epoch.model.lock().done(&edits);
                Ok(Some(answer))
            }
            Ok(answer) => {
                self.epoch.model.lock().doubt(edits);
                self.epoch.refused(&self.who, &format!("{command}: {}", answer.tagged));
                Ok(Some(answer))
            }
            Err(error) => {
                self.epoch.model.lock().doubt(edits);
                Err(error)
            }
        }
    }

    async fn append(&mut self, mailbox: &'static str, random: &mut Random) -> io::Result<bool> {
        let (letter, uid_next) = {
            let mut model = self.epoch.model.lock();
            let letter = Letter::draw(model.next_token(), random);
            model.add_letter(Arc::clone(&letter));
            (letter, model.told(self.account, mailbox).0)
        };
        let flags: Flags = if random.one_in(2) { Flags::new() } else { [random.of(FLAGS).to_string()].into() };
        let edits = vec![((self.account, mailbox, letter.token), Some(flags.clone()))];
        let words: Vec<String> = flags.into_iter().collect();
        let answer = match self.imap.append(mailbox, &words.join(" "), &letter.raw).await {
            Ok(answer) => answer,
            Err(error) => {
                self.epoch.model.lock().doubt(edits);
                return Err(error);
            }
        };
        if !answer.is_ok() {
            self.epoch.model.lock().doubt(edits);
            self.epoch.refused(&self.who, &answer.tagged);
            return Ok(true);
        }
        let code = answer.code("APPENDUID").expect("APPEND answers APPENDUID");
        let (validity, uid) = code.split_once(' ').unwrap();
        let (validity, uid): (u32, u32) = (validity.parse().unwrap(), uid.parse().unwrap());
        assert!(uid >= uid_next, "P4: APPEND gave UID {uid}, UIDNEXT was {uid_next}");
        let mut model = self.epoch.model.lock();
        model.saw(self.account, mailbox, validity, uid, letter.token);
        model.done(&edits);
        Ok(true)
    }

    async fn store(
        &mut self,
        mailbox: &'static str,
        uids: &BTreeMap<u32, u32>,
        random: &mut Random,
    ) -> io::Result<bool> {
        let Some(claimed) = self.claim(mailbox, uids, random, |_, _| true) else { return Ok(true) };
        let (flag, adds) = (*random.of(FLAGS), !random.one_in(3));
        let edits = self.edits(&claimed, |mut flags| {
            if adds {
                flags.insert(flag.to_owned())
            } else {
                flags.remove(flag)
            };
            Some(flags)
        });
        let sign = if adds { '+' } else { '-' };
        let command = format!("UID STORE {} {sign}FLAGS ({flag})", claimed.uids);
        Ok(self.change(&command, edits, random).await?.is_some())
    }

    async fn expunge(
        &mut self,
        mailbox: &'static str,
        uids: &BTreeMap<u32, u32>,
        random: &mut Random,
    ) -> io::Result<bool> {
        let Some(claimed) = self.claim(mailbox, uids, random, |_, _| true) else { return Ok(true) };
        let deleted = self.edits(&claimed, |mut flags| {
            flags.insert("\\Deleted".to_owned());
            Some(flags)
        });
        let command = format!("UID STORE {} +FLAGS.SILENT (\\Deleted)", claimed.uids);
        let Some(answer) = self.change(&command, deleted, random).await? else { return Ok(false) };
        if !answer.is_ok() {
            return Ok(true);
        }
        // Released for a moment: nobody else may have taken one.
        {
            let mut model = self.epoch.model.lock();
            if claimed.tokens.iter().any(|token| model.claimed.contains(token)) {
                return Ok(true);
            }
            model.claim(&claimed.tokens);
        }
        let gone = self.edits(&claimed, |_| None);
        Ok(self.change(&format!("UID EXPUNGE {}", claimed.uids), gone, random).await?.is_some())
    }

    /// COPY or MOVE into another mailbox, where the messages are not yet.
    async fn transfer(
        &mut self,
        verb: &str,
        mailbox: &'static str,
        uids: &BTreeMap<u32, u32>,
        random: &mut Random,
    ) -> io::Result<bool> {
        let to = *random.of(&MAILBOXES);
        let account = self.account;
        let fit = |model: &super::model::State, token: u32| to != mailbox && !model.has(&(account, to, token));
        let Some(claimed) = self.claim(mailbox, uids, random, fit) else { return Ok(true) };
        let mut edits = self.edits(&claimed, Some);
        edits.iter_mut().for_each(|(key, _)| key.1 = to);
        if verb == "MOVE" {
            edits.extend(self.edits(&claimed, |_| None));
        }
        let uid_next = self.epoch.model.lock().told(account, to).0;
        let Some(answer) = self.change(&format!("UID {verb} {} {to}", claimed.uids), edits, random).await? else {
            return Ok(false);
        };
        if answer.is_ok() {
            let code = answer.code("COPYUID").expect("COPY and MOVE answer COPYUID").to_owned();
            let parts: Vec<&str> = code.split(' ').collect();
            let given = numbers(parts[2]);
            assert_eq!(given.len(), claimed.tokens.len(), "COPYUID {code}");
            let mut model = self.epoch.model.lock();
            for (uid, token) in given.into_iter().zip(&claimed.tokens) {
                assert!(uid >= uid_next, "P4: {verb} gave UID {uid}, UIDNEXT was {uid_next}");
                model.saw(account, to, parts[0].parse().unwrap(), uid, *token);
            }
        }
        Ok(true)
    }

    fn edits(&self, claimed: &Claimed, change: impl Fn(Flags) -> Option<Flags>) -> Vec<Edit> {
        let model = self.epoch.model.lock();
        let edit = |token: &u32| {
            let key = (self.account, claimed.mailbox, *token);
            (key, change(model.messages.get(&key).cloned().unwrap_or_default()))
        };
        claimed.tokens.iter().map(edit).collect()
    }

    /// P3: a body, whole or in part.
    async fn read(&mut self, uids: &BTreeMap<u32, u32>, random: &mut Random) -> io::Result<()> {
        let tokens: Vec<u32> = uids.keys().copied().collect();
        let Some(token) = (!tokens.is_empty()).then(|| *random.of(&tokens)) else { return Ok(()) };
        let letter = Arc::clone(&self.epoch.model.lock().letters[&token]);
        let uid = uids[&token];
        let whole = self.body(&format!("UID FETCH {uid} BODY.PEEK[]")).await?;
        // Somebody else may have moved it meanwhile; then there is nothing.
        let Some(whole) = whole else { return Ok(()) };
        check_body(&letter, &whole);
        let (start, octets) = (random.below(whole.len() + 10), 1 + random.below(5_000));
        if let Some(part) = self.body(&format!("UID FETCH {uid} BODY.PEEK[]<{start}.{octets}>")).await? {
            let start = start.min(whole.len());
            let end = (start + octets).min(whole.len());
            assert!(part == whole[start..end], "P3: octets {start}..{end} of letter {token}");
        }
        Ok(())
    }

    async fn body(&mut self, command: &str) -> io::Result<Option<Vec<u8>>> {
        let answer = self.imap.command(command).await?;
        if !answer.is_ok() {
            self.epoch.refused(&self.who, &format!("{command}: {}", answer.tagged));
            return Ok(None);
        }
        let octets = answer.untagged.iter().find(|response| response.text.contains("BODY["));
        Ok(octets.map(|response| response.literals.first().cloned().unwrap_or_default()))
    }

    /// P7: a search finds what was there all the time and has the word, and nothing that has it not.
    async fn search(
        &mut self,
        uids: &BTreeMap<u32, u32>,
        certain: &BTreeMap<u32, u64>,
        random: &mut Random,
    ) -> io::Result<()> {
        let word = *random.of(WORDS);
        let answer = self.imap.command(&format!("UID SEARCH TEXT {word}")).await?;
        if !answer.is_ok() {
            self.epoch.refused(&self.who, &answer.tagged);
            return Ok(());
        }
        let found: BTreeSet<u32> = answer.search().into_iter().collect();
        let model = self.epoch.model.lock();
        let still = model.still_certain(certain);
        for (token, uid) in uids {
            let has = model.letters[token].words.contains(&word);
            assert!(has || !found.contains(uid), "P7: SEARCH TEXT {word} found letter {token}");
            assert!(
                !has || found.contains(uid) || !still.contains(token),
                "P7: SEARCH TEXT {word} missed letter {token}"
            );
        }
        Ok(())
    }
}

const FLAGS: &[&str] = &["\\Seen", "\\Flagged", "\\Answered", "$Work"];

/// The numbers of a set such as `3:5,9`.
pub fn numbers(set: &str) -> Vec<u32> {
    let range = |part: &str| {
        let (start, end) = part.split_once(':').unwrap_or((part, part));
        start.parse::<u32>().unwrap()..=end.parse().unwrap()
    };
    set.split(',').flat_map(range).collect()
}
