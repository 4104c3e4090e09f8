//! From the configuration to parts, and from parts to services.

use super::{
    ServerError,
    listeners::{Bound, Kind},
    metrics::Metrics,
};
use crate::{
    accounts::Accounts,
    admin::{self, Admin, Socket},
    authentication::Authenticator,
    clock::Clock,
    config::{self, Config},
    delivery::Delivery,
    dns::{self, Resolver},
    imap,
    mx::{self, ContentBudget, Counters},
    net::{Listener, Shutdown},
    spam::{Filter, Thresholds},
    store::Store,
    submission,
    tls::{self, Acceptor, SessionTickets},
};
use std::{
    io,
    path::{Path, PathBuf},
};
use tokio::task::JoinSet;

/// Everything that the services stand on.
pub(super) struct Parts {
    pub(super) store: Store,
    pub(super) certificate: Certificate,
    mx: mx::Services,
    imap: imap::Services,
}

impl Parts {
    pub(super) async fn open(config: &Config) -> Result<Self, ServerError> {
        let clock = Clock::real();
        let hostname = config.hostname();
        let resolver = Resolver::new(&resolver_settings(config)).map_err(ServerError::Resolver)?;
        let filter = filter(config)?;
        make_folder(&config.server.data)?;
        let certificate = Certificate::load(config, &hostname)?;
        let (store, accounts) = open_accounts(config, &clock).await?;
        let mx = mx::Services {
            accounts: accounts.clone(),
            authenticator: Authenticator::new(resolver, clock.clone()),
            filter,
            delivery: Delivery::new(store.clone(), clock.clone(), hostname.clone()),
            clock: clock.clone(),
            hostname: hostname.clone(),
            message_octets_max: config.limits.message_octets_max,
            content_budget: ContentBudget::new(config.limits.content_octets_in_flight_max),
            counters: Counters::default(),
        };
        let imap = imap::Services {
            store: store.clone(),
            accounts,
            sessions: imap::Sessions::new(&clock),
            clock,
            hostname,
            message_octets_max: config.limits.message_octets_max,
            clear_login: match config.imap.clear_login {
                config::ClearLogin::Refused => imap::ClearLogin::Refused,
                config::ClearLogin::Loopback => imap::ClearLogin::Loopback,
            },
        };
        Ok(Self { store, certificate, mx, imap })
    }
}

/// Opens store and accounts, and finishes what a crash has left of changes to accounts.
async fn open_accounts(config: &Config, clock: &Clock) -> Result<(Store, Accounts), ServerError> {
    let failed = |error| ServerError::Store(config.server.data.clone(), error);
    let store = Store::open(admin::store_settings(config), clock.clone()).await.map_err(failed)?;
    let accounts = Accounts::new(store.clone(), clock.clone())?;
    accounts.finish_removals().await?;
    Ok((store, accounts))
}

/// The data folder holds everybody's mail: it is the server's alone.
fn make_folder(folder: &Path) -> Result<(), ServerError> {
    admin::make_data_folder(folder).map_err(|error| ServerError::Folder(folder.to_owned(), error))
}

fn resolver_settings(config: &Config) -> dns::Settings {
    dns::Settings {
        servers: config.dns.servers.clone(),
        timeout: config.dns_timeout(),
        attempts: config.dns.attempts,
        cache_entries: config.dns.cache_entries,
    }
}

fn filter(config: &Config) -> Result<Filter, ServerError> {
    let thresholds = Thresholds { junk: config.spam.junk, reject: config.spam.reject };
    Ok(match config.spam_model() {
        Some(model) => Filter::load(model, thresholds)?,
        None => Filter::shipped(thresholds)?,
    })
}

/// The certificate in use, and where it is read from.
#[derive(Clone)]
pub(super) struct Certificate {
    certificate: PathBuf,
    key: PathBuf,
    /// Port 25 sends no session tickets.
    mx: Acceptor,
    others: Acceptor,
}

impl Certificate {
    fn load(config: &Config, hostname: &str) -> Result<Self, ServerError> {
        let folder = config.server.data.join("tls");
        let (certificate, key) = match config.certificate() {
            Some((certificate, key)) => (certificate.to_owned(), key.to_owned()),
            None => (folder.join("certificate.pem"), folder.join("key.pem")),
        };
        if config.certificate().is_none() {
            tls::ensure_self_signed(
                &certificate,
                &key,
                &[hostname, "localhost", "127.0.0.1", "::1"].map(str::to_owned),
            )?;
        }
        Ok(Self {
            mx: Acceptor::load(&certificate, &key, SessionTickets::Withhold)?,
            others: Acceptor::load(&certificate, &key, SessionTickets::Send)?,
            certificate,
            key,
        })
    }

    /// Reads the files again. Where that fails, the old certificate stays.
    pub(super) fn reload(&self) {
        let reload = |acceptor: &Acceptor| acceptor.reload(&self.certificate, &self.key);
        match reload(&self.mx).and_then(|()| reload(&self.others)) {
            Ok(()) => tracing::info!("certificate read again"),
            Err(error) => tracing::error!(%error, "certificate not read again, the old one stays"),
        }
    }
}

/// Parts with what is common to all listeners.
pub(super) struct Listening {
    parts: Parts,
    metrics: Metrics,
    shutdown: Shutdown,
}

impl Listening {
    pub(super) fn new(parts: Parts, bound: &Bound, shutdown: Shutdown) -> Self {
        let clock = parts.mx.clock.clone();
        let metrics = Metrics::new(clock.now(), bound.activities(), parts.mx.counters.clone(), parts.store.clone());
        Self { parts, metrics, shutdown }
    }

    /// One task a listener, and one for the control socket.
    pub(super) fn serve(self, bound: Bound, control: Socket) -> JoinSet<(&'static str, io::Result<()>)> {
        let mut services = JoinSet::new();
        let (admin, mut shutdown) = (self.admin(), self.shutdown.clone());
        services.spawn(async move { ("control.socket", control.serve(admin, shutdown.begun()).await) });
        let (delivery, accounts, mut shutdown) =
            (self.parts.mx.delivery.clone(), self.parts.mx.accounts.clone(), self.shutdown.clone());
        services.spawn(async move {
            tokio::select! {
                () = delivery.warn_owners(&accounts) => {}
                () = shutdown.begun() => {}
            }
            ("quota warnings", Ok(()))
        });
        for (kind, listener) in bound.0 {
            let service = Box::pin(self.service(kind, listener));
            services.spawn(async move { (kind.name(), service.await) });
        }
        services
    }

    fn admin(&self) -> Admin {
        let imap::Services { store, accounts, hostname, .. } = self.parts.imap.clone();
        Admin::new(store, accounts, hostname)
    }

    fn service(&self, kind: Kind, listener: Listener) -> impl Future<Output = io::Result<()>> + Send + use<> {
        let (mx, imap) = (self.parts.mx.clone(), self.parts.imap.clone());
        let Certificate { mx: for_mx, others, .. } = self.parts.certificate.clone();
        let (metrics, shutdown) = (self.metrics.clone(), self.shutdown.clone());
        async move {
            match kind {
                Kind::Mx => mx::serve(listener, mx, for_mx, shutdown).await,
                Kind::SubmissionStartTls => {
                    submission::serve(listener, mx, others, submission::TlsMode::StartTls, shutdown).await
                }
                Kind::SubmissionTls => {
                    submission::serve(listener, mx, others, submission::TlsMode::Implicit, shutdown).await
                }
                Kind::ImapStartTls => imap::serve(listener, imap, others, imap::TlsMode::StartTls, shutdown).await,
                Kind::ImapTls => imap::serve(listener, imap, others, imap::TlsMode::Implicit, shutdown).await,
                Kind::Metrics => metrics.serve(listener, shutdown).await,
            }
        }
    }
}
