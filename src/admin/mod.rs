//! What administrators do, without printing: one file per task, the same whether the server runs or not.
//!
//! ```text
//! cli ─▶ Request ─┬─ control socket ─▶ the running server ─┬─▶ task ─▶ Event, Event, … Done
//!                 └─ no server: the store, opened here ────┘
//! ```
//!
//! Owns: the tasks, what they answer, and the control socket that carries both (a line of JSON each). Promises: a
//! task ends with exactly one [`Event::Done`] or [`Event::Failed`]; a task whose client has gone away stops at its next
//! event; what a failed task had done is told. Never: prints, asks, or sends anything over a network; shows a password.
//! Errors are for the administrator and name file or address; each task is logged with its outcome.

mod account;
mod alias;
mod archive;
mod blob;
mod connect;
mod control;
mod date;
mod doctor;
mod domain;
mod error;
mod event;
mod export;
mod import;
mod message;
mod open;
mod query;
mod quota;
mod request;
mod search;
mod spam_model;
mod statistics;
mod undelete;
mod upkeep;

pub use crate::{
    accounts::{Alias, AliasName},
    store::{Check, ContentPlace, Depth, FromPacks, Limit, ObjectPlace, Remedy, Swept},
};
pub use archive::Form;
pub use blob::{BlobFigures, ExplainedContent, ExplainedReference, Fate};
pub use connect::{Connection, Running};
pub use control::Socket;
pub use doctor::{Diagnosis, Examination, Patient};
pub use error::{AdminError, Failure, Kind};
pub use event::{Done, Event, Item, Progress, Stage};
pub use export::Exported;
pub use import::Imported;
pub use message::{Explained, Judged, JudgedReason, JudgedSender, MessagePlace, Shown, ShownPart};
pub use open::{make_data_folder, store_settings};
pub use query::QueryError;
pub use quota::{LimitChange, QuotaFigures};
pub use request::{Request, Run, Secret};
pub use search::FoundMessage;
pub use spam_model::{Judgement, TrainedModel, measure_model, train_model};
pub use statistics::Figures;

use crate::{accounts::Accounts, clock::Clock, limits, store::Store};
use event::Events;
use tokio::sync::mpsc;

/// What tasks work on. Clones share it.
#[derive(Clone)]
pub struct Admin {
    store: Store,
    accounts: Accounts,
    hostname: String,
    clock: Clock,
}

impl Admin {
    /// On the parts of a running server.
    pub fn new(store: Store, accounts: Accounts, hostname: String) -> Self {
        Self { store, accounts, hostname, clock: Clock::real() }
    }

    /// With another clock than the machine's, for tests.
    #[must_use]
    pub fn with_clock(self, clock: Clock) -> Self {
        Self { clock, ..self }
    }

    /// Starts a task. It stops at its next event where the receiver is dropped.
    pub fn start(&self, request: Request) -> mpsc::Receiver<Event> {
        let admin = self.clone();
        start(request.name(), |events| async move { (admin.run(request, &events).await, events) })
    }

    async fn run(&self, request: Request, events: &Events) -> Result<Done, AdminError> {
        match request {
            Request::DomainAdd { domain } => domain::add(self, &domain).await,
            Request::DomainList => domain::list(self, events).await,
            Request::DomainRemove { domain, run } => domain::remove(self, &domain, run).await,
            Request::DomainDns { domain } => domain::dns(self, &domain, events).await,
            Request::AccountAdd { address, password } => account::add(self, &address, &password).await,
            Request::AccountList => account::list(self, events).await,
            Request::AccountPassword { address, password } => account::password(self, &address, &password).await,
            Request::AccountRemove { address, run } => account::remove(self, &address, run).await,
            Request::AccountRemoved => undelete::removed_accounts(self, events).await,
            Request::AccountUndelete { address, into, run } => {
                undelete::account(self, &address, into.as_ref().unwrap_or(&address), run).await
            }
            Request::AccountQuota { address, change } => quota::quota(self, &address, change).await,
            Request::AliasAdd { alias } => alias::add(self, &alias).await,
            Request::AliasList => alias::list(self, events).await,
            Request::AliasRemove { name, run } => alias::remove(self, &name, run).await,
            Request::Statistics => statistics::statistics(self).await,
            Request::Search { account, query, count } => search::search(self, &account, (&query, count), events).await,
            Request::MessageShow(place) => message::show(self, &place).await,
            Request::MessageExplain(place) => message::explain(self, &place),
            Request::MessageUndelete { account, mailbox, since, run } => {
                let plan =
                    undelete::Plan { account: &account, mailbox: mailbox.as_deref(), since: since.as_deref(), run };
                undelete::messages(self, plan, events).await
            }
            Request::Import { account, source, mailbox, form } => {
                let plan = import::Plan { account: &account, source, mailbox, form };
                import::import(self, plan, events).await
            }
            Request::Export { account, destination, mailbox, form } => {
                let plan = export::Plan { account: &account, destination, mailbox, form };
                export::export(self, plan, events).await
            }
            Request::IndexRebuild { account } => upkeep::rebuild_indexes(self, account.as_ref(), events).await,
            Request::BlobVerify => upkeep::verify(self, events).await,
            Request::BlobPack => upkeep::pack(self).await,
            Request::Doctor(asked) => doctor::of_server(self, &asked, events).await,
            Request::BlobSweep { run } => blob::sweep(self, run).await,
            Request::BlobExplain { content } => blob::explain(self, &content).await,
            Request::BlobStatistics => blob::statistics(self).await,
            Request::DoctorFromPacks => Err(AdminError::Serving),
        }
    }
}

/// Starts a task and says at its end what became of it.
fn start<F>(task: &'static str, run: impl FnOnce(Events) -> F) -> mpsc::Receiver<Event>
where
    F: Future<Output = (Result<Done, AdminError>, Events)> + Send + 'static,
{
    let (sender, receiver) = mpsc::channel(limits::CONTROL_EVENTS_WAITING_MAX);
    let running = run(Events::new(sender));
    crate::work::spawn(async move {
        let (outcome, events) = running.await;
        let last = match outcome {
            Ok(done) => {
                tracing::info!(task, "task done");
                Event::Done(done)
            }
            Err(error) => {
                tracing::info!(task, %error, "task failed");
                Event::Failed(Failure::from(&error))
            }
        };
        events.end(last).await;
    });
    receiver
}
