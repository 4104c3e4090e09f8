//! The word that the server drains.

use tokio::sync::watch;

/// Tells everyone that the server drains. Clones share it.
#[derive(Clone, Debug)]
pub struct Shutdown(watch::Receiver<bool>);

impl Shutdown {
    /// A pair: sending `true` begins the drain.
    pub fn channel() -> (watch::Sender<bool>, Self) {
        let (sender, receiver) = watch::channel(false);
        (sender, Self(receiver))
    }

    /// Returns once the drain has begun. Cancel-safe.
    pub async fn begun(&mut self) {
        // A sender that is gone means that the server is gone: drain as well.
        let _ = self.0.wait_for(|begun| *begun).await;
    }

    /// Whether the drain has begun.
    pub fn has_begun(&self) -> bool {
        *self.0.borrow()
    }
}
