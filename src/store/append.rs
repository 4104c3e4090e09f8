//! Appending messages: the one write path that a 250 or an OK stands on.

use super::{Appended, NewMessage, RepeatKey, Store, StoreError, Target};

impl Store {
    /// Appends one message to each target and returns what was given, in the order of `targets`.
    ///
    /// Durable once this returns. A crash before that leaves nothing visible, or all of it. Dropping
    /// the future does not undo it: the message is then stored or not, never half.
    pub async fn append(&self, message: NewMessage, targets: Vec<Target>) -> Result<Vec<Appended>, StoreError> {
        let _ = (message, targets);
        unimplemented!("frame: store")
    }

    /// Appends several messages to one account (import, MULTIAPPEND), all or none, with one fsync.
    pub async fn append_all(&self, messages: Vec<(NewMessage, Target)>) -> Result<Vec<Appended>, StoreError> {
        let _ = messages;
        unimplemented!("frame: store")
    }

    /// Forgets a repeat key: the sender has shown that it saw our reply, so the same octets again
    /// are meant as a second copy. Does not wait for stable storage.
    pub fn acknowledge(&self, repeat: RepeatKey) {
        let _ = repeat;
    }
}
