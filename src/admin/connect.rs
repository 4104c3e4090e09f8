//! The way to the tasks: through the running server, or on a store opened here.

use super::{Admin, AdminError, Event, Patient, Request, control::Client};
use crate::config::Config;
use tokio::sync::mpsc;

/// Where tasks run.
pub enum Connection {
    /// In the server that has the store open.
    Server(std::path::PathBuf),
    /// Here; no server has the store open.
    Direct(Admin),
    /// Here, for the doctor alone.
    Idle(Patient),
}

impl Connection {
    /// Finds the server, or opens the store.
    pub async fn open(config: &Config) -> Result<Self, AdminError> {
        let socket = config.control_socket();
        if Client::connect(&socket).await?.is_some() {
            return Ok(Self::Server(socket));
        }
        Admin::open(config).await.map(Self::Direct)
    }

    /// Finds the server, or opens the store for the doctor's task: nothing runs beside it.
    pub async fn open_idle(config: &Config, request: &Request) -> Result<Self, AdminError> {
        let socket = config.control_socket();
        if Client::connect(&socket).await?.is_some() {
            return Ok(Self::Server(socket));
        }
        match request {
            Request::DoctorFromPacks => Ok(Self::Idle(Patient::closed(config))),
            _ => Patient::open(config).await.map(Self::Idle),
        }
    }

    /// Starts a task.
    pub async fn start(&self, request: Request) -> Result<Running, AdminError> {
        Ok(match self {
            Self::Direct(admin) => Running::Here(admin.start(request)),
            Self::Idle(patient) => Running::Here(patient.start(request)?),
            Self::Server(socket) => {
                let gone = || AdminError::Control(socket.clone(), "the server has gone away".to_owned());
                let client = Client::connect(socket).await?.ok_or_else(gone)?;
                Running::There(client.ask(&request).await?)
            }
        })
    }

    /// Closes the store, where it was opened here.
    pub async fn close(self) {
        match self {
            Self::Direct(admin) => admin.close().await,
            Self::Idle(patient) => patient.close().await,
            Self::Server(_) => {}
        }
    }
}

/// A task under way. Dropping it stops the task at its next event.
pub enum Running {
    /// In this process.
    Here(mpsc::Receiver<Event>),
    /// In the server.
    There(Client),
}

impl Running {
    /// The next event; `None` after the last, or where the task ended without one.
    pub async fn next(&mut self) -> Result<Option<Event>, AdminError> {
        match self {
            Self::Here(events) => Ok(events.recv().await),
            Self::There(client) => client.next().await,
        }
    }
}
