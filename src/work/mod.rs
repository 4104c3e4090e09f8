//! Work beside the reactor, real and simulated.
//!
//! Owns: how blocking work, threads and tasks of their own are started. Really, blocking work goes to tokio's threads and a
//! [`Worker`] to one of its own. Between [`Simulation::begin`] and its end, everything that this thread starts runs on this
//! thread, one step after the other, in an order that follows from the seed: so a whole server can be run again exactly.
//! Promises: work that was begun is finished, whoever waits for it (in a simulation: unless the process dies). Never: knows
//! what the work is. Nothing is logged.
//!
//! A simulated process dies at a *passage*: a pause, or a named point in the code. [`Simulation::die_after`] says at which.

mod mark;

pub use mark::Mark;

use std::{cell::RefCell, future::Future, io, rc::Rc, thread};
use tokio::task::{AbortHandle, JoinHandle};

/// Work that ended without a result: it panicked, or the runtime went down.
#[derive(Debug, thiserror::Error)]
#[error("a task ended early: {0}")]
pub struct Ended(String);

/// Runs work that computes or blocks where it does not hold up the reactor.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Ended> {
    let done = if is_simulated() { spawn(inline(work)) } else { tokio::task::spawn_blocking(work) };
    done.await.map_err(|error| Ended(error.to_string()))
}

/// A task, as a thread would be: who waits may go away.
async fn inline<T>(work: impl FnOnce() -> T) -> T {
    pause().await;
    let done = work();
    pause().await;
    done
}

/// Starts a task that goes on when its starter has gone away.
pub fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    let task = tokio::spawn(future);
    with(|state| state.keep(task.abort_handle()));
    task
}

/// A loop that waits and works, the same on a thread and as a task.
pub trait Run: Send + 'static {
    /// Runs to the end; may block.
    fn run_on_thread(self);

    /// Does the same, with a pause wherever another thread could come between.
    fn run_as_task(self) -> impl Future<Output = ()> + Send;
}

/// Something that runs for long: a thread, or a task in a simulation.
pub struct Worker(Kind);

enum Kind {
    Thread(thread::JoinHandle<()>),
    Task(JoinHandle<()>),
}

impl Worker {
    /// Starts it on a thread of this name.
    pub fn start(name: String, run: impl Run) -> io::Result<Self> {
        if is_simulated() {
            return Ok(Self(Kind::Task(spawn(run.run_as_task()))));
        }
        thread::Builder::new().name(name).spawn(|| run.run_on_thread()).map(|thread| Self(Kind::Thread(thread)))
    }

    /// Waits for its end. An error where it panicked.
    pub async fn ended(self) -> Result<(), Ended> {
        match self.0 {
            Kind::Task(task) => task.await.map_err(|error| Ended(error.to_string())),
            Kind::Thread(thread) => {
                blocking(move || thread.join()).await?.map_err(|_| Ended("a thread panicked".to_owned()))
            }
        }
    }
}

/// Whether this thread simulates.
pub fn is_simulated() -> bool {
    with(|_| ()).is_some()
}

/// In a simulation: lets others run for as long as the seed says, or for ever where the process dies here. Otherwise
/// nothing.
pub async fn pause() {
    let Some(pause) = draw_pause() else { return };
    match pause {
        Pause::Turns(turns) => {
            for _ in 0..turns {
                tokio::task::yield_now().await;
            }
        }
        Pause::Millis(millis) => tokio::time::sleep(std::time::Duration::from_millis(millis)).await,
        Pause::Forever => std::future::pending().await,
    }
}

/// A named point at which a simulated process may die. What follows then finds everything gone.
pub fn pass() {
    let _ = pass_by();
}

/// How long a task is held up.
enum Pause {
    Turns(u64),
    Millis(u64),
    Forever,
}

fn draw_pause() -> Option<Pause> {
    let life = pass_by()?;
    with(|state| match (life, state.random(16)) {
        (Life::Ended, _) => Pause::Forever,
        (Life::Goes, 0) => Pause::Millis(state.random(20)),
        (Life::Goes, turns @ 1..=5) => Pause::Turns(turns),
        (Life::Goes, _) => Pause::Turns(0),
    })
}

enum Life {
    Goes,
    Ended,
}

/// Counts a passage; `None` where nothing is simulated.
fn pass_by() -> Option<Life> {
    let death = with(|state| {
        let left = state.passages_left.as_mut()?;
        *left = left.saturating_sub(1);
        if *left > 0 {
            return None;
        }
        state.passages_left = None;
        state.tasks.drain(..).for_each(|task| task.abort());
        state.death.take()
    })?;
    let Some(death) = death else { return Some(Life::Goes) };
    death();
    Some(Life::Ended)
}

thread_local! {
    static STATE: RefCell<Option<State>> = const { RefCell::new(None) };
}

/// Runs something on this thread's simulation, where there is one.
fn with<T>(run: impl FnOnce(&mut State) -> T) -> Option<T> {
    STATE.with_borrow_mut(|state| state.as_mut().map(run))
}

struct State {
    random: u64,
    /// Tasks of the process that is simulated.
    tasks: Vec<AbortHandle>,
    passages_left: Option<u64>,
    death: Option<Box<dyn FnOnce()>>,
}

impl State {
    fn keep(&mut self, task: AbortHandle) {
        // Those that have ended are let go of whenever the list would grow.
        if self.tasks.len() == self.tasks.capacity() {
            self.tasks.retain(|task| !task.is_finished());
        }
        self.tasks.push(task);
    }

    /// A number below `bound`.
    fn random(&mut self, bound: u64) -> u64 {
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.random >> 33) % bound.max(1)
    }
}

/// The simulation of one process on this thread, until it is dropped.
///
/// Everything runs on a current-thread runtime with paused time. It stays on the thread that began it.
pub struct Simulation(std::marker::PhantomData<Rc<()>>);

impl Simulation {
    /// Begins; pauses follow from `seed`. One at a time on a thread.
    pub fn begin(seed: u64) -> Self {
        STATE.set(Some(State { random: seed, tasks: Vec::new(), passages_left: None, death: None }));
        Self(std::marker::PhantomData)
    }

    /// Lets the process die at its n-th passage from now: its tasks go on no more, and `death` is called there and then, to
    /// take away what dies with it. A later call replaces an earlier one.
    pub fn die_after(&self, passages: u64, death: impl FnOnce() + 'static) {
        with(|state| {
            state.passages_left = Some(passages.max(1));
            state.death = Some(Box::new(death));
        });
    }

    /// The process lives on after all. Whether it would have: `false` where it died already.
    pub fn live_on(&self) -> bool {
        let left = with(|state| (state.passages_left.take(), state.death.take()));
        matches!(left, Some((Some(_), _)))
    }
}

impl Drop for Simulation {
    fn drop(&mut self) {
        STATE.set(None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        cell::Cell,
        sync::{Arc, Mutex},
    };

    fn run<F: Future>(future: F) -> F::Output {
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(future)
    }

    /// The order in which five tasks finish three pieces of work each.
    fn order(seed: u64) -> Vec<usize> {
        let _simulation = Simulation::begin(seed);
        let order = Arc::new(Mutex::new(Vec::new()));
        run(async {
            let tasks: Vec<_> = (0..5)
                .map(|number| {
                    let order = Arc::clone(&order);
                    spawn(async move {
                        for _ in 0..3 {
                            let order = Arc::clone(&order);
                            blocking(move || order.lock().unwrap().push(number)).await.unwrap();
                        }
                    })
                })
                .collect();
            for task in tasks {
                task.await.unwrap();
            }
        });
        let order = order.lock().unwrap();
        order.clone()
    }

    #[test]
    fn the_order_of_work_follows_from_the_seed() {
        let orders: std::collections::BTreeSet<_> = (0..20).map(order).collect();
        assert!(orders.len() > 10, "{} orders of 20", orders.len());
        for seed in 0..20 {
            assert_eq!(order(seed), order(seed));
        }
    }

    #[test]
    fn a_process_goes_no_further_than_where_it_dies() {
        let simulation = Simulation::begin(1);
        let died = Rc::new(Cell::new(false));
        let dying = Rc::clone(&died);
        simulation.die_after(4, move || dying.set(true));
        let steps = Arc::new(Mutex::new(0));
        let counted = Arc::clone(&steps);
        run(async move {
            let task = spawn(async move {
                for _ in 0..10 {
                    *counted.lock().unwrap() += 1;
                    pause().await;
                }
            });
            assert!(task.await.unwrap_err().is_cancelled());
        });
        assert!(died.get() && !simulation.live_on());
        assert_eq!(*steps.lock().unwrap(), 4);
    }

    #[test]
    fn without_a_simulation_work_leaves_the_reactor() {
        run(async {
            let here = thread::current().id();
            assert_ne!(blocking(|| thread::current().id()).await.unwrap(), here);
            assert!(blocking(|| panic!("planned")).await.is_err());
        });
        assert!(!is_simulated());
    }
}
