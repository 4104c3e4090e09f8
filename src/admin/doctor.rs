//! The doctor: what of the store does not agree with what it derives from, and mending it.
//!
//! Works on the running server's store, where little may be written, or on a store opened for nothing else.

use super::{Admin, AdminError, Done, Event, Events, Item, Request, Run, Stage, open::store_settings, start};
use crate::{
    accounts::{Account, Accounts},
    clock::Clock,
    config::Config,
    mail::Address,
    store::{Check, Depth, ExamineProgress, Examined, Finding, FromPacksProgress, Mode, Plan, Remedy, Settings, Store},
};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

/// What the doctor is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Examination {
    /// The checks; all of them where there is none.
    pub only: Vec<Check>,
    /// How much is read.
    pub depth: Depth,
    /// Whether findings are mended, or only would be; `None` for a look.
    pub repair: Option<Run>,
}

/// What the doctor found, in all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diagnosis {
    /// Things compared.
    pub compared: u64,
    /// What does not agree.
    pub wrong: u64,
    /// What of it was mended.
    pub mended: u64,
    /// What of it a repair would mend.
    pub mendable: u64,
    /// What of it nothing in the store can bring back.
    pub lost: u64,
}

/// Examines the store of a running server, or one opened here.
pub(super) async fn examine(
    store: &Store,
    accounts: &[Account],
    asked: &Examination,
    events: &Events,
) -> Result<Done, AdminError> {
    let plan = plan(store, asked)?;
    // Whoever has gone away is noticed at the end.
    let progress = |progress: ExamineProgress| {
        let _ = events.progress(Stage::Examining, progress.done, progress.total);
    };
    let mut diagnosis = Diagnosis::default();
    for examined in store.examine(&plan, progress).await? {
        diagnosis.add(&examined);
        let Examined { check, compared, wrong, mended, lost, findings } = examined;
        let listed = findings.len() as u64;
        for finding in findings {
            events.item(item(finding, accounts)).await?;
        }
        events.item(Item::Examined { check, compared, wrong, mended, lost, listed }).await?;
    }
    Ok(Done::Examined(diagnosis))
}

fn plan(store: &Store, asked: &Examination) -> Result<Plan, AdminError> {
    let checks = if asked.only.is_empty() { Check::ALL.to_vec() } else { asked.only.clone() };
    let mode = if asked.repair == Some(Run::Really) { Mode::Mend } else { Mode::Look };
    let others = checks.iter().any(|check| !check.is_mended_while_serving());
    if mode == Mode::Mend && others && !store.is_idle() {
        return Err(AdminError::Serving);
    }
    Ok(Plan { checks, depth: asked.depth, mode })
}

impl Diagnosis {
    fn add(&mut self, examined: &Examined) {
        self.compared += examined.compared;
        self.wrong += examined.wrong;
        self.mended += examined.mended;
        self.lost += examined.lost;
        self.mendable = self.wrong - self.mended - self.lost;
    }

    /// What is wrong still.
    pub fn left(&self) -> u64 {
        self.mendable + self.lost
    }
}

fn item(finding: Finding, accounts: &[Account]) -> Item {
    let Finding { check, account, place, what, remedy } = finding;
    let address = |id| accounts.iter().find(|account| account.id == id).map(|account| account.address.clone());
    let account =
        account.map(|id| address(id).map_or_else(|| format!("account {id}"), |address: Address| address.to_string()));
    let next = next(check, remedy).to_owned();
    Item::Finding { check, account, place, what, remedy, next }
}

/// What the administrator does next.
fn next(check: Check, remedy: Remedy) -> &'static str {
    match (remedy, check) {
        (Remedy::Mended, _) => "mended",
        (Remedy::Mendable, _) => "`postern doctor --repair` mends it",
        (Remedy::Harmless, _) => "harmless: nothing needs it",
        (Remedy::Lost, Check::Objects | Check::Contents) => {
            "bring it back from a backup; `postern export` goes past it and lists what it skips"
        }
        (Remedy::Lost, _) => "bring it back from a backup",
    }
}

/// A store that no server has.
pub enum Patient {
    /// Open for the doctor alone.
    Open {
        /// The store.
        store: Store,
        /// For addresses in findings.
        accounts: Vec<Account>,
    },
    /// Closed, since its metadata is to be made again.
    Closed {
        /// How it is opened.
        settings: Box<Settings>,
    },
}

impl Patient {
    /// Opens the store of a configuration. A directory that cannot be read leaves findings without addresses.
    pub(super) async fn open(config: &Config) -> Result<Self, AdminError> {
        let settings = store_settings(config);
        if !settings.path.is_dir() {
            return Err(AdminError::NoStore(settings.path));
        }
        let failed = |error| AdminError::Open(config.server.data.clone(), error);
        let store = Store::open_idle(settings, Clock::real()).await.map_err(failed)?;
        let accounts = Accounts::new(store.clone(), Clock::real());
        let accounts = accounts.map(|accounts| accounts.accounts()).unwrap_or_default();
        Ok(Self::Open { store, accounts })
    }

    pub(super) fn closed(config: &Config) -> Self {
        Self::Closed { settings: Box::new(store_settings(config)) }
    }

    /// Starts the doctor's task; the store is not open for others.
    pub(super) fn start(&self, request: Request) -> Result<mpsc::Receiver<Event>, AdminError> {
        let name = request.name();
        match (self, request) {
            (Self::Open { store, accounts }, Request::Doctor(asked)) => {
                let (store, accounts) = (store.clone(), accounts.clone());
                Ok(start(name, |events| async move { (examine(&store, &accounts, &asked, &events).await, events) }))
            }
            (Self::Closed { settings }, Request::DoctorFromPacks) => {
                let settings = Settings::clone(settings);
                Ok(start(name, |events| async move { (from_packs(settings, &events).await, events) }))
            }
            _ => Err(AdminError::Idle(name)),
        }
    }

    pub(super) async fn close(&self) {
        if let Self::Open { store, .. } = self {
            store.close().await;
        }
    }
}

/// Makes lost metadata again.
async fn from_packs(settings: Settings, events: &Events) -> Result<Done, AdminError> {
    if !settings.path.is_dir() {
        return Err(AdminError::NoStore(settings.path));
    }
    let progress = |progress: FromPacksProgress| {
        let _ = events.progress(Stage::Writing, progress.done, progress.total);
    };
    Ok(Done::FromPacks(Store::rebuild_from_packs(settings, Clock::real(), progress).await?))
}

/// Examines the store of a running server.
pub(super) async fn of_server(admin: &Admin, asked: &Examination, events: &Events) -> Result<Done, AdminError> {
    examine(&admin.store, &admin.accounts.accounts(), asked, events).await
}
