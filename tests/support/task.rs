//! Administrators' tasks.

use postern::admin::{Done, Event, Failure, Item};
use tokio::sync::mpsc;

/// Every item of a task, and its end.
pub async fn outcome(mut events: mpsc::Receiver<Event>) -> (Vec<Item>, Result<Done, Failure>) {
    let mut items = Vec::new();
    while let Some(event) = events.recv().await {
        match event {
            Event::Progress(_) => {}
            Event::Item(item) => items.push(item),
            Event::Done(done) => return (items, Ok(done)),
            Event::Failed(failure) => return (items, Err(failure)),
        }
    }
    panic!("the task ended without an answer");
}
