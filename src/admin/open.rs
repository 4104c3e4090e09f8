//! The store of a configuration, opened for one task while no server runs.

use super::{Admin, AdminError};
use crate::{
    accounts::Accounts,
    clock::Clock,
    config::Config,
    store::{ObjectsAt, QuotaPolicy, ResourceLimits, Settings, Store},
};
use std::{fs, io, os::unix::fs::DirBuilderExt as _, path::Path};

/// The store's part of a configuration.
pub fn store_settings(config: &Config) -> Settings {
    Settings {
        partitions: config.store.partitions,
        pack_after_seconds: config.store.pack_after_seconds,
        cache_octets: config.store.cache_octets,
        objects: ObjectsAt::from_settings(&config.store.objects, &config.store.objects_options),
        undelete_days: config.store.undelete_days,
        sweep_grace_hours: config.store.sweep_grace_hours,
        quota: quota_policy(config),
        ..Settings::at(config.server.data.join("store"))
    }
}

fn quota_policy(config: &Config) -> QuotaPolicy {
    let limits = &config.limits;
    QuotaPolicy {
        limits: ResourceLimits { octets: limits.account_octets_max.0, messages: limits.account_messages_max.0 },
        warnings: limits.quota_warnings.clone(),
    }
}

/// Makes the data folder. Mail is nobody else's business, whatever the umask says.
pub fn make_data_folder(folder: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

impl Admin {
    /// Opens the store itself, and makes it where there is none.
    pub(super) async fn open(config: &Config) -> Result<Self, AdminError> {
        let data = &config.server.data;
        make_data_folder(data).map_err(|error| AdminError::File(data.clone(), error))?;
        let store = Store::open(store_settings(config), Clock::real()).await;
        let store = store.map_err(|error| AdminError::Open(data.clone(), error))?;
        let accounts = Accounts::new(store.clone(), Clock::real())?;
        accounts.finish_removals().await?;
        Ok(Self::new(store, accounts, config.hostname()))
    }

    /// Closes a store that was opened for one task.
    pub(super) async fn close(&self) {
        self.store.close().await;
    }
}
