//! What runs on a server beside its clients, sooner than its timers would have it: packing, sweeping, indexing, and time
//! that passes by days.

use super::{epoch::Epoch, random::Random};
use postern::{store::Store, work};
use std::time::Duration;

/// Does so many tasks, or as many as there is time for.
pub async fn run(epoch: Epoch, store: Store, mut random: Random, tasks: usize) {
    for _ in 0..tasks {
        epoch.wait(&mut random, 600).await;
        if epoch.is_over() {
            return;
        }
        task(&epoch, &store, &mut random).await;
    }
}

async fn task(epoch: &Epoch, store: &Store, random: &mut Random) {
    let (store, what) = (store.clone(), random.below(5));
    epoch.world.log.say("upkeep", ["pack", "pack", "sweep", "index", "hours pass"][what]);
    if what == 4 {
        epoch.world.clock.advance(Duration::from_secs(3600 * (1 + random.below(5) as u64)));
        return;
    }
    // A task of the server's: it dies with it.
    let done = work::spawn(async move {
        match what {
            0 | 1 => store.pack().await.map(|packed| assert_eq!(packed.damaged, 0, "P12: {packed:?}")),
            2 => store.sweep().await.map(drop),
            _ => {
                for account in store.account_ids()? {
                    store.flush_index(account).await?;
                }
                Ok(())
            }
        }
    });
    match done.await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => epoch.refused("upkeep", &error.to_string()),
        Err(error) if error.is_cancelled() => {}
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
