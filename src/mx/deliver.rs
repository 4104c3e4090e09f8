//! What the MX and submission do alike with a message that is taken.

use super::{Services, connection::Taken, reply};
use crate::{delivery::Received, limits, work};

/// Delivers and says what the sender is told.
pub(crate) async fn deliver(services: &Services, received: Received) -> Taken {
    let id = received.id.clone();
    match services.delivery.deliver(received).await {
        Ok(delivered) => {
            services.counters.copies(delivered.copies.iter().filter(|copy| !copy.repeated).count());
            Taken { reply: reply::stored(&id), delivered: Some(delivered) }
        }
        Err(error) => {
            tracing::warn!(%id, %error, "message not stored");
            Taken::refused(reply::not_delivered(&error))
        }
    }
}

/// Does CPU work on a message of `octets`, away from the reactor where it takes long.
pub(crate) async fn off_reactor<T: Send + 'static>(octets: usize, task: impl FnOnce() -> T + Send + 'static) -> T {
    if octets < limits::INLINE_WORK_OCTETS_MAX {
        return task();
    }
    // A panic is a bug; it ends this session as it would inline, and the sender keeps the message.
    work::blocking(task).await.expect("work on a message neither panics nor is aborted")
}
