//! A mail server that delivers, and comes again until it has seen a 250 (P1, P2).

use super::{
    epoch::{Epoch, Over},
    letter::Letter,
    model::{Edit, Flags},
    random::Random,
    smtp::Smtp,
    world::{ACCOUNTS, SENDER, address},
};
use std::{collections::VecDeque, sync::Arc};

/// A letter that was not confirmed yet.
#[derive(Clone)]
pub struct Pending {
    letter: Arc<Letter>,
    accounts: Vec<usize>,
    /// Some try may have got through.
    is_in_doubt: bool,
}

impl Pending {
    pub fn token(&self) -> u32 {
        self.letter.token
    }

    fn edits(&self) -> Vec<Edit> {
        let there = |account: &usize| ((*account, "INBOX", self.letter.token), Some(Flags::new()));
        self.accounts.iter().map(there).collect()
    }
}

/// Sends what was left by an earlier life of the server, and new letters. Returns what is left now.
pub async fn run(epoch: Epoch, who: String, mut random: Random, pending: Vec<Pending>, letters: usize) -> Vec<Pending> {
    let mut queue: VecDeque<Pending> = pending.into();
    for _ in 0..letters {
        queue.push_back(draw(&epoch, &mut random));
    }
    let mut tries = 0;
    while let Some(mut next) = queue.pop_front() {
        epoch.wait(&mut random, 400).await;
        tries += 1;
        match send(&epoch, &who, &mut random, &mut next).await {
            Ok(true) => epoch.model.lock().done(&next.edits()),
            Ok(false) => queue.push_back(next),
            Err(Over) => {
                queue.push_front(next);
                break;
            }
        }
        if epoch.is_over() || epoch.is_faulty && tries > 3 * letters {
            break;
        }
    }
    for left in queue.iter_mut().filter(|left| left.is_in_doubt) {
        epoch.model.lock().doubt(left.edits());
        left.is_in_doubt = false;
    }
    queue.into()
}

fn draw(epoch: &Epoch, random: &mut Random) -> Pending {
    let mut model = epoch.model.lock();
    let letter = Letter::draw(model.next_token(), random);
    model.add_letter(Arc::clone(&letter));
    let everybody: Vec<usize> = (0..ACCOUNTS).collect();
    Pending { letter, accounts: random.some(&everybody, ACCOUNTS), is_in_doubt: false }
}

/// One try. Says whether it was confirmed.
async fn send(epoch: &Epoch, who: &str, random: &mut Random, pending: &mut Pending) -> Result<bool, Over> {
    let recipients: Vec<String> = pending.accounts.iter().map(|account| address(*account)).collect();
    let raw = &pending.letter.raw;
    let mut smtp = match Smtp::open(&epoch.world, who, SENDER).await {
        Ok(smtp) => smtp,
        Err(error) => return Err(epoch.over(who, &error)),
    };
    if random.one_in(5) {
        // The network breaks somewhere: in the middle of the content, behind it, or while the reply is under way.
        let octets = if random.one_in(2) { random.below(raw.len()) } else { usize::MAX };
        // Without its last line, no content is whole.
        pending.is_in_doubt |= octets == usize::MAX;
        let _ = smtp.cut_after(&recipients, raw, octets).await;
        epoch.wait(random, 60).await;
        smtp.cut();
        return Ok(false);
    }
    match smtp.transaction(&recipients, raw).await {
        Ok((250, _)) => {
            match random.below(3) {
                0 => smtp.cut(),
                1 => drop(smtp),
                _ => drop(smtp.quit().await),
            }
            Ok(true)
        }
        Ok((_, reply)) => {
            epoch.refused(who, &reply);
            // Where a disk fails, the outcome of a refused write may be unknown.
            pending.is_in_doubt = true;
            Ok(false)
        }
        Err(error) => {
            pending.is_in_doubt = true;
            Err(epoch.over(who, &error))
        }
    }
}
