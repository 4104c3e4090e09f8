//! Changes to accounts while no server runs: the store is opened, changed and closed.

use super::{ServerError, build::open_accounts};
use crate::{
    accounts::{Account, Accounts, Password},
    clock::Clock,
    config::Config,
    mail::{Address, Domain},
};

/// Adds a domain.
pub async fn add_domain(config: &Config, domain: &Domain) -> Result<(), ServerError> {
    with_accounts(config, async |accounts| Ok(accounts.add_domain(domain).await?)).await
}

/// Adds an account.
pub async fn add_account(config: &Config, address: &Address, password: &[u8]) -> Result<Account, ServerError> {
    let password = Password::new(password)?;
    with_accounts(config, async |accounts| Ok(accounts.add_account(address, &password).await?)).await
}

async fn with_accounts<T>(
    config: &Config,
    change: impl AsyncFnOnce(&Accounts) -> Result<T, ServerError>,
) -> Result<T, ServerError> {
    let (store, accounts) = open_accounts(config, &Clock::real()).await?;
    let changed = change(&accounts).await;
    store.close().await;
    changed
}
