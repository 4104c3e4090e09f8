//! One run: lives of a server one after the other, and a look at everything between them.

use super::{
    epoch::Epoch,
    listing::{compare, everything},
    model::{MAILBOXES, Model},
    owner,
    random::Random,
    sender::{self, Pending},
    upkeep, watcher,
    world::{Server, World, death, rest},
};
use postern::work::Simulation;
use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, atomic::Ordering},
    time::Duration,
};
use tokio::task::JoinSet;

/// Lives of the server in one run.
const LIVES: usize = 4;

/// How a life ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// Everybody finishes first.
    AtRest,
    /// It is stopped while its clients work.
    Drained,
    /// It dies at some point, and what was not on stable storage goes with it.
    Death,
}

/// What came of a run.
#[derive(Clone, Copy, Debug, Default)]
pub struct Outcome {
    pub acknowledged: u64,
    pub doubts: u64,
    pub deaths: u64,
    pub messages: u64,
}

impl Outcome {
    /// Both together.
    pub fn add(&mut self, other: Self) {
        self.acknowledged += other.acknowledged;
        self.doubts += other.doubts;
        self.deaths += other.deaths;
        self.messages += other.messages;
    }
}

/// Runs a seed to its end. Panics where a promise is broken.
pub async fn run(world: &World, simulation: &Simulation, seed: u64) -> Outcome {
    let mut run = Run {
        world: world.clone(),
        random: Random::new(seed, 3),
        model: Model::default(),
        pending: Vec::new(),
        deaths: 0,
    };
    for _ in 0..LIVES {
        let end = *run.random.of(&[End::AtRest, End::Drained, End::Death, End::Death]);
        run.live(simulation, end).await;
        rest().await;
    }
    run.last_look().await;
    let model = run.model.lock();
    Outcome {
        acknowledged: model.acknowledged,
        doubts: model.resolved,
        deaths: run.deaths,
        messages: model.messages.len() as u64,
    }
}

struct Run {
    world: World,
    random: Random,
    model: Model,
    /// Letters whose senders will come again.
    pending: Vec<Pending>,
    deaths: u64,
}

impl Run {
    /// One life of the server.
    async fn live(&mut self, simulation: &Simulation, end: End) {
        self.world.log.say("run", format!("a life that ends {end:?}"));
        if end == End::Death && self.random.one_in(2) {
            self.die_young(simulation).await;
        }
        let server = Server::start(&self.world).await.expect("nothing kills it here");
        self.look().await;
        let mut died = Arc::new(Mutex::new(false));
        if end == End::Death {
            let passages = 1 + self.random.next() % *self.random.of(&[30, 300, 1000]);
            died = self.arm(simulation, passages);
        }
        let epoch = Epoch {
            world: self.world.clone(),
            model: self.model.clone(),
            is_faulty: false,
            died: Arc::clone(&died),
            ends: Arc::default(),
            rests: Arc::default(),
        };
        self.clients(&epoch, server, end, simulation).await;
        self.deaths += u64::from(*died.lock().unwrap());
    }

    /// A start that does not get far, or further than was thought.
    async fn die_young(&mut self, simulation: &Simulation) {
        let passages = 1 + self.random.next() % 40;
        let died = self.arm(simulation, passages);
        if let Some(server) = Server::start(&self.world).await {
            simulation.live_on();
            server.stop().await;
        }
        self.deaths += u64::from(*died.lock().unwrap());
        rest().await;
    }

    fn arm(&mut self, simulation: &Simulation, passages: u64) -> Arc<Mutex<bool>> {
        let (death, died) = death(&self.world, &mut self.random);
        simulation.die_after(passages, death);
        died
    }

    /// Everybody at work on one server, until it ends.
    async fn clients(&mut self, epoch: &Epoch, server: Server, end: End, simulation: &Simulation) {
        let mut clients = Clients::start(epoch, &server, &mut self.random, std::mem::take(&mut self.pending));
        if end == End::Drained {
            let until = Duration::from_millis(self.random.next() % 3_000);
            let stopping = async {
                tokio::time::sleep(until).await;
                self.world.log.say("run", "the server is to stop");
                epoch.ends.store(true, Ordering::SeqCst);
                assert!(server.stop().await);
            };
            let (left, ()) = tokio::join!(clients.finish_work(), stopping);
            self.pending = left;
            clients.finish_watching().await;
            return;
        }
        self.pending = clients.finish_work().await;
        if end == End::Death && !simulation.live_on() {
            clients.finish_watching().await;
            return;
        }
        epoch.rests.store(true, Ordering::SeqCst);
        clients.finish_watching().await;
        self.look().await;
        epoch.ends.store(true, Ordering::SeqCst);
        assert!(server.stop().await);
    }

    /// Everything that is there, held against what clients know.
    async fn look(&mut self) {
        let there = everything(&self.world, &self.model, &mut self.random).await.expect("nothing fails here");
        let pending: BTreeSet<u32> = self.pending.iter().map(Pending::token).collect();
        self.model.lock().resolve(&there, &pending);
        compare(&there, &self.model);
    }

    /// The same once packer and sweep had all the time they want: nothing with a name is gone (P9), nothing is damaged.
    async fn last_look(&mut self) {
        let server = Server::start(&self.world).await.expect("nothing kills it here");
        self.look().await;
        for _ in 0..3 {
            server.store.pack().await.unwrap();
            self.world.clock.advance(Duration::from_secs(DAYS));
            server.store.sweep().await.unwrap();
        }
        let verified = server.store.verify_contents(|_| ()).await.unwrap();
        assert!(verified.damage.is_empty(), "P12: {:?}", verified.damage);
        self.look().await;
        assert!(server.stop().await);
    }
}

/// Longer than generations and the sweep's grace together.
const DAYS: u64 = 20 * 24 * 3600;

/// Everybody who is connected to one server.
struct Clients {
    senders: JoinSet<Vec<Pending>>,
    workers: JoinSet<()>,
    watchers: JoinSet<()>,
}

impl Clients {
    fn start(epoch: &Epoch, server: &Server, random: &mut Random, pending: Vec<Pending>) -> Self {
        let (mut senders, mut workers, mut watchers) = (JoinSet::new(), JoinSet::new(), JoinSet::new());
        for (number, pending) in [pending, Vec::new()].into_iter().enumerate() {
            senders.spawn(sender::run(epoch.clone(), format!("sender{number}"), random.fork(), pending, 3));
        }
        for number in 0..3 {
            workers.spawn(owner::run(epoch.clone(), format!("owner{number}"), random.fork(), number % 2, 6));
        }
        workers.spawn(upkeep::run(epoch.clone(), server.store.clone(), random.fork(), 6));
        let (account, mailbox) = (random.below(2), *random.of(&MAILBOXES));
        watchers.spawn(watcher::idle(epoch.clone(), "idler".to_owned(), account, mailbox));
        watchers.spawn(watcher::ask(epoch.clone(), "asker".to_owned(), random.fork(), 1 - account, mailbox));
        Self { senders, workers, watchers }
    }

    /// Waits for all who change something, and returns what senders have left.
    async fn finish_work(&mut self) -> Vec<Pending> {
        all(&mut self.workers).await;
        all(&mut self.senders).await.into_iter().flatten().collect()
    }

    async fn finish_watching(&mut self) {
        all(&mut self.watchers).await;
    }
}

/// Waits for all of them; the first that panicked ends the run.
async fn all<T: 'static>(tasks: &mut JoinSet<T>) -> Vec<T> {
    let mut ended = Vec::new();
    while let Some(task) = tasks.join_next().await {
        ended.push(task.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic())));
    }
    ended
}
