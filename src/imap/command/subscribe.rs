//! SUBSCRIBE and UNSUBSCRIBE (RFC 9051 §6.3.7, §6.3.8). A name may be subscribed before its mailbox exists.

use super::super::{
    parser::WireName,
    response::{Completion, Outcome},
    session::Session,
};

/// Subscribes a name.
pub(crate) async fn subscribe(name: &WireName, session: &mut Session) -> Outcome {
    let account = session.account()?;
    session.services.store.subscribe(account, &session.name(name)?).await?;
    Ok(Completion::ok("SUBSCRIBE completed"))
}

/// Unsubscribes a name.
pub(crate) async fn unsubscribe(name: &WireName, session: &mut Session) -> Outcome {
    let account = session.account()?;
    session.services.store.unsubscribe(account, &session.name(name)?).await?;
    Ok(Completion::ok("UNSUBSCRIBE completed"))
}
