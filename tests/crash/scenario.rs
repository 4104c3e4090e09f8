//! A scenario, ended in many ways, and what is left of its store each time.

use super::{
    dice::Dice,
    disk::{Disk, Survival},
    journal::{Event, Journal},
    smtp,
    victim::{self, Start, Victim, folder},
};
use std::{
    collections::BTreeSet,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

/// What a process does until it ends, and what has to be there afterwards.
pub struct Scenario {
    pub name: &'static str,
    /// The ignored test that plays the victim, which tells `end` where nothing ended it. `None`: the program.
    pub victim: Option<&'static str>,
    /// Failpoints that it passes.
    pub failpoints: &'static [&'static str],
    /// Makes the store that the victim begins with.
    pub prepare: fn(folder: &Path, seed: u64),
    /// Opens what is left of the store and compares. `told` is what the victim told by then.
    pub check: fn(folder: &Path, seed: u64, told: &[String]) -> Result<u64, Fault>,
}

/// A promise that was not kept.
#[derive(Debug)]
pub enum Fault {
    /// Something acknowledged is not there.
    Lost(String),
    /// Something is there more often than it should be.
    Duplicated(String),
    /// Something is there in part, or cannot be read.
    Half(String),
}

/// What came of a scenario.
#[derive(Debug, Default)]
pub struct Tally {
    pub seeds: u64,
    /// Stores that were opened after an end.
    pub images: u64,
    pub points: BTreeSet<&'static str>,
    /// Acknowledgements that were looked for, over all images.
    pub acknowledged: u64,
    pub lost: u64,
    pub duplicated: u64,
    pub half: u64,
    /// The first faults, in words.
    pub faults: Vec<String>,
}

/// How a victim ends.
pub enum End {
    /// At a passage of a failpoint.
    Failpoint(&'static str, u64),
    /// Kill -9 after so many things told.
    Kill(usize),
}

/// Power cuts on the way, beside those at the end; fewer where only a few seeds are tried.
const CUTS: usize = 4;
const FAULTS_SHOWN: usize = 5;

impl Scenario {
    /// Runs the seeds, some at once.
    pub fn run(&self, seeds: u64) -> Tally {
        let (tally, next) = (Mutex::new(Tally { seeds, ..Tally::default() }), AtomicU64::new(0));
        let threads = std::thread::available_parallelism().map_or(2, |count| count.get().min(8));
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    while let Some(seed) = Some(next.fetch_add(1, Ordering::SeqCst)).filter(|seed| *seed < seeds) {
                        self.run_seed(seed, &tally);
                    }
                });
            }
        });
        tally.into_inner().unwrap()
    }

    /// The first seeds take each failpoint in turn at its first passage, so that none is left out.
    fn end(&self, seed: u64) -> End {
        let mut dice = Dice::new(seed);
        if self.victim.is_none() && seed.is_multiple_of(2) {
            return End::Kill(1 + dice.up_to(30));
        }
        if let Some(failpoint) = self.failpoints.get(seed as usize) {
            return End::Failpoint(failpoint, 1);
        }
        if self.failpoints.is_empty() || seed.is_multiple_of(3) {
            return End::Kill(dice.up_to(80));
        }
        let failpoint = self.failpoints[dice.up_to(self.failpoints.len() - 1)];
        let passages = [2, 8, 30][dice.up_to(2)];
        End::Failpoint(failpoint, 1 + dice.up_to(passages) as u64)
    }

    fn run_seed(&self, seed: u64, tally: &Mutex<Tally>) {
        let real = folder();
        (self.prepare)(real.path(), seed);
        let end = self.end(seed);
        let point = if let End::Failpoint(name, passage) = &end { Some(format!("{name}:{passage}")) } else { None };
        let (told, has_ended, journal) = match self.victim {
            Some(test) => run_victim(&Start::new(test, real.path(), seed).ending_at(point.clone()).watched(), &end),
            None => smtp::run(real.path(), &end, point.as_deref()),
        };
        if let (End::Failpoint(name, _), true) = (&end, has_ended) {
            tally.lock().unwrap().points.insert(name);
        }
        let ended = point.unwrap_or_else(|| format!("kill after {}", told.len()));
        self.look(&format!("seed {seed}, {ended}, the machine went on"), tally, || {
            (self.check)(real.path(), seed, &told)
        });
        self.cut(seed, &journal, (&ended, &told), tally);
        if self.victim.is_none() {
            let how = format!("seed {seed}, {ended}, sent again");
            self.look(&how, tally, || smtp::check_repeats(real.path(), &told).map(|()| 0));
        }
    }

    /// Power cuts at the end and on the way.
    fn cut(&self, seed: u64, journal: &Journal, (ended, told): (&str, &[String]), tally: &Mutex<Tally>) {
        let Some(begun) = journal.begun() else { return };
        let (mut dice, all) = (Dice::new(seed ^ 0x5eed), journal.events.len());
        let on_the_way = if victim::is_short() { usize::from(seed.is_multiple_of(3)) } else { CUTS };
        let mut cuts: Vec<(usize, Survival)> =
            (0..on_the_way).map(|_| (moment(journal, begun, &mut dice), survival(&mut dice))).collect();
        cuts.sort_by_key(|(events, _)| *events);
        let at_the_end = [Survival::Nothing, Survival::Scattered(dice.next()), Survival::Ordered(dice.next())];
        let at_the_end = at_the_end.into_iter().take(if victim::is_short() { 1 } else { 3 });
        cuts.extend(at_the_end.map(|survival| (all, survival)));
        let mut disk = Disk::new(journal);
        for (events, survival) in cuts {
            disk.advance(events);
            let image = folder();
            disk.cut(survival, image.path());
            let how = format!("seed {seed}, {ended}, power cut after {events} of {all} events, {survival:?} survives");
            let told = if events == all { told.to_vec() } else { journal.told_before(events) };
            self.look(&how, tally, || (self.check)(image.path(), seed, &told));
        }
    }

    fn look(&self, how: &str, tally: &Mutex<Tally>, check: impl FnOnce() -> Result<u64, Fault>) {
        let checked = catch_unwind(AssertUnwindSafe(check));
        let checked = checked.unwrap_or_else(|panic| Err(Fault::Half(words(&*panic))));
        let mut tally = tally.lock().unwrap();
        tally.images += 1;
        let (count, fault) = match checked {
            Ok(acknowledged) => return tally.acknowledged += acknowledged,
            Err(Fault::Lost(fault)) => (&mut tally.lost, fault),
            Err(Fault::Duplicated(fault)) => (&mut tally.duplicated, fault),
            Err(Fault::Half(fault)) => (&mut tally.half, fault),
        };
        *count += 1;
        if tally.faults.len() < FAULTS_SHOWN {
            tally.faults.push(format!("{}: {how}: {fault}", self.name));
        }
    }
}

/// Runs a victim to its end; returns what it told, whether something ended it, and what it did.
fn run_victim(start: &Start<'_>, end: &End) -> (Vec<String>, bool, Journal) {
    let mut victim = Victim::start(start);
    let mut told = Vec::new();
    if let End::Kill(after) = end {
        told.extend((0..*after).map_while(|_| victim.told()));
        victim.kill();
    }
    let (rest, journal) = victim.rest_with_journal();
    told.extend(rest);
    let has_ended = told.last().is_none_or(|line| line != "end");
    (told, has_ended, journal)
}

/// A moment on the way: mostly just before or after something became durable, was named or was told.
fn moment(journal: &Journal, begun: usize, dice: &mut Dice) -> usize {
    let drawn = begun + dice.up_to(journal.events.len() - begun);
    if dice.up_to(3) == 0 {
        return drawn;
    }
    let is_turn = |event: &Event| {
        matches!(event, Event::Sync { .. } | Event::Rename { .. } | Event::Unlink { .. } | Event::Told(_))
    };
    let turn = journal.events[drawn..].iter().position(is_turn).map_or(drawn, |after| drawn + after);
    (turn + dice.up_to(1)).min(journal.events.len())
}

fn survival(dice: &mut Dice) -> Survival {
    match dice.up_to(3) {
        0 | 1 => Survival::Nothing,
        2 => Survival::Ordered(dice.next()),
        _ => Survival::Scattered(dice.next()),
    }
}

/// What a panic says.
fn words(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
}

/// The table of what came of each scenario.
pub fn table(tallies: &[(&str, Tally)]) -> String {
    let mut lines = vec![format!(
        "{:<12} {:>6} {:>7} {:>7} {:>13} {:>5} {:>11} {:>5}",
        "scenario", "seeds", "stores", "points", "acknowledged", "lost", "duplicated", "half"
    )];
    lines.extend(tallies.iter().map(|(name, tally)| {
        format!(
            "{name:<12} {:>6} {:>7} {:>7} {:>13} {:>5} {:>11} {:>5}",
            tally.seeds,
            tally.images,
            tally.points.len(),
            tally.acknowledged,
            tally.lost,
            tally.duplicated,
            tally.half
        )
    }));
    lines.join("\n")
}
