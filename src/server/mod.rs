//! Builds the server from its configuration; starts, drains and stops it.
//!
//! Owns: the order in which the parts come up and go down, the listeners' addresses, the metrics endpoint, and the
//! control socket among the services. Promises: [`Server::start`] returns once every listener takes connections, or nothing of it is
//! left; [`Server::stop`] takes no more connections, lets transactions end, says BYE, and closes the store last, within
//! [`limits::DRAIN_SECONDS`] and [`limits::STORE_CLOSE_SECONDS`]. Never: knows a protocol, apart from the few lines of HTTP for
//! metrics. Errors say what an administrator can do; start, drain and end are logged.

mod build;
mod error;
mod listeners;
mod metrics;
mod signal;
mod tour;

use crate::{
    admin::Socket,
    config::Config,
    limits,
    net::{Drain, Shutdown},
    store::Store,
};
use build::{Listening, Parts};
use listeners::Bound;
use std::{io, net::SocketAddr, time::Duration};
use tokio::task::JoinSet;

pub use error::ServerError;
pub use tour::{Fate, Letter, Tour};

/// A running server. It must be stopped: dropped, it ends its sessions at once.
pub struct Server {
    addresses: Addresses,
    store: Store,
    certificate: build::Certificate,
    drain: Drain,
    services: JoinSet<(&'static str, io::Result<()>)>,
}

/// Where a server listens; the system's choice where port 0 was set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Addresses {
    /// Mail from other servers.
    pub mx: Vec<SocketAddr>,
    /// Submission with STARTTLS.
    pub submission_starttls: Vec<SocketAddr>,
    /// Submission inside TLS.
    pub submission_tls: Vec<SocketAddr>,
    /// IMAP with STARTTLS.
    pub imap_starttls: Vec<SocketAddr>,
    /// IMAP inside TLS.
    pub imap_tls: Vec<SocketAddr>,
    /// Metrics and health.
    pub metrics: Vec<SocketAddr>,
}

impl Server {
    /// Starts everything the configuration names. Listeners are bound before the store is opened, so that a port that
    /// is taken costs nothing; who connects meanwhile waits.
    pub async fn start(config: Config) -> Result<Self, ServerError> {
        let bound = Bound::bind(&config).await?;
        let parts = Parts::open(&config).await?;
        // The store is open, so no other server uses the socket that may lie there.
        let socket = config.control_socket();
        let control = Socket::bind(&socket).map_err(|error| ServerError::Control(socket.clone(), error))?;
        let addresses = bound.addresses();
        let (store, certificate) = (parts.store.clone(), parts.certificate.clone());
        let (drain, shutdown) = Shutdown::channel();
        bound.log();
        let services = Listening::new(parts, &bound, shutdown).serve(bound, control);
        tracing::info!(version = env!("CARGO_PKG_VERSION"), data = %config.server.data.display(), "started");
        Ok(Self { addresses, store, certificate, drain, services })
    }

    /// Where it listens.
    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// Serves until SIGTERM or SIGINT, then stops. SIGHUP reads certificate and key again. An error where a listener
    /// failed; the others were stopped then too, so that whoever watches the process starts it again.
    pub async fn run(mut self) -> Result<(), ServerError> {
        let mut signals = signal::Signals::new().map_err(ServerError::Signals)?;
        let failed = loop {
            tokio::select! {
                signal = signals.next() => match signal {
                    signal::Signal::Stop => break None,
                    signal::Signal::Reload => self.certificate.reload(),
                },
                Some(ended) = self.services.join_next() => break Some(failure(ended)),
            }
        };
        self.stop().await;
        failed.map_or(Ok(()), Err)
    }

    /// Stops, and returns when the store is closed.
    pub async fn stop(mut self) {
        tracing::info!("stopping");
        self.drain.begin();
        while let Some(ended) = self.services.join_next().await {
            if let Ok((_, Ok(()))) = ended {
                continue;
            }
            tracing::error!(error = %failure(ended), "a service failed");
        }
        let closing = tokio::time::timeout(Duration::from_secs(limits::STORE_CLOSE_SECONDS), self.store.close());
        match closing.await {
            Ok(()) => tracing::info!("stopped"),
            // Nothing is lost: what was acknowledged is on disk, and the rest is done at the next start.
            Err(_) => tracing::warn!("stopped before the store was closed"),
        }
    }
}

/// A service ends by itself only when it fails.
fn failure(ended: Result<(&'static str, io::Result<()>), tokio::task::JoinError>) -> ServerError {
    match ended {
        Ok((service, Err(error))) => ServerError::Service(service, error),
        Ok((service, Ok(()))) => ServerError::Service(service, io::Error::other("ended too early")),
        Err(error) => ServerError::Service("a service", io::Error::other(error)),
    }
}

#[cfg(test)]
mod tests;
