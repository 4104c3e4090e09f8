//! The control socket: one connection for each task, a line of JSON for the request and for each event.
//!
//! Who may connect is decided by the file's mode, and once more by the peer's user: the server's own, or root.

use super::{Admin, AdminError, Event, Failure, Kind, Request};
use crate::limits;
use std::{
    fs, io,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::{
    io::{AsyncBufRead, AsyncBufReadExt as _, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader},
    net::{UnixListener, UnixStream},
    sync::Semaphore,
    task::JoinSet,
};

/// A bound control socket. Dropping it removes the file.
pub struct Socket {
    listener: UnixListener,
    path: PathBuf,
    owner: u32,
}

impl Socket {
    /// Binds it with mode 0600, in place of what an earlier server may have left. The caller knows that no other
    /// server uses the path.
    pub fn bind(path: &Path) -> io::Result<Self> {
        // Under its own name it is seen only once nobody else may connect.
        let unfinished = path.with_extension("new");
        for stale in [path, &unfinished] {
            match fs::remove_file(stale) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        let listener = UnixListener::bind(&unfinished)?;
        fs::set_permissions(&unfinished, fs::Permissions::from_mode(0o600))?;
        fs::rename(&unfinished, path)?;
        let owner = fs::metadata(path)?.uid();
        Ok(Self { listener, path: path.to_owned(), owner })
    }

    /// Runs tasks for those who connect until `stop`; then waits for tasks under way, up to the bound of a drain.
    pub async fn serve(self, admin: Admin, stop: impl Future<Output = ()>) -> io::Result<()> {
        let places = Arc::new(Semaphore::new(limits::CONTROL_CONNECTIONS_MAX));
        let mut tasks = JoinSet::new();
        tokio::pin!(stop);
        loop {
            let place = Arc::clone(&places).acquire_owned();
            let accepted = async { (place.await, self.listener.accept().await) };
            tokio::select! {
                () = &mut stop => break,
                (place, accepted) = accepted => {
                    let (stream, _) = accepted?;
                    if self.may_connect(&stream) {
                        let admin = admin.clone();
                        tasks.spawn(async move {
                            let _place = place;
                            converse(admin, stream).await;
                        });
                    }
                }
                Some(_) = tasks.join_next() => {}
            }
        }
        let drained = async { while tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(Duration::from_secs(limits::DRAIN_SECONDS), drained).await.is_err() {
            tracing::warn!("tasks stopped at the end of the drain");
        }
        Ok(())
    }

    fn may_connect(&self, stream: &UnixStream) -> bool {
        stream.peer_cred().is_ok_and(|peer| peer.uid() == self.owner || peer.uid() == 0)
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// One connection: a request, and the events of its task. A client that goes away ends the task by that.
async fn converse(admin: Admin, stream: UnixStream) {
    let (reader, mut writer) = stream.into_split();
    let mut reader = BufReader::new(reader);
    let asked = tokio::time::timeout(
        Duration::from_secs(limits::CONTROL_REQUEST_SECONDS),
        read_line(&mut reader, limits::CONTROL_REQUEST_OCTETS_MAX),
    );
    let request = match asked.await {
        Ok(Ok(Some(line))) => serde_json::from_slice::<Request>(&line).map_err(|error| error.to_string()),
        Ok(Err(error)) => Err(error.to_string()),
        // Nothing was asked: somebody looked whether a server is there.
        Ok(Ok(None)) | Err(_) => return,
    };
    let request = match request {
        Ok(request) => request,
        Err(message) => {
            let message = format!("not a request of this release: {message}");
            let _ = write_line(&mut writer, &Event::Failed(Failure { kind: Kind::Refused, message })).await;
            return;
        }
    };
    let mut events = admin.start(request);
    while let Some(event) = events.recv().await {
        if write_line(&mut writer, &event).await.is_err() {
            return;
        }
    }
}

/// A connection to a server's control socket.
pub struct Client {
    stream: BufReader<UnixStream>,
    path: PathBuf,
}

impl Client {
    /// Connects; `None` where no server listens.
    pub(super) async fn connect(path: &Path) -> Result<Option<Self>, AdminError> {
        match UnixStream::connect(path).await {
            Ok(stream) => Ok(Some(Self { stream: BufReader::new(stream), path: path.to_owned() })),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
                Ok(None)
            }
            Err(error) => Err(AdminError::Control(path.to_owned(), error.to_string())),
        }
    }

    /// Asks for a task.
    pub(super) async fn ask(mut self, request: &Request) -> Result<Self, AdminError> {
        let asked = write_line(self.stream.get_mut(), request).await;
        asked.map_err(|error| self.failed(&error))?;
        Ok(self)
    }

    /// The next event; `None` once the server has closed.
    pub(super) async fn next(&mut self) -> Result<Option<Event>, AdminError> {
        let line = read_line(&mut self.stream, limits::CONTROL_EVENT_OCTETS_MAX).await;
        let Some(line) = line.map_err(|error| self.failed(&error))? else { return Ok(None) };
        let event = serde_json::from_slice(&line);
        event.map(Some).map_err(|error| AdminError::Control(self.path.clone(), format!("not of this release: {error}")))
    }

    fn failed(&self, error: &io::Error) -> AdminError {
        AdminError::Control(self.path.clone(), error.to_string())
    }
}

/// Reads a line within a bound; `None` at the end. Not cancel-safe.
async fn read_line(reader: &mut (impl AsyncBufRead + Unpin), octets_max: usize) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    let bound = u64::try_from(octets_max).unwrap_or(u64::MAX);
    reader.take(bound).read_until(b'\n', &mut line).await?;
    match line.pop() {
        None => Ok(None),
        Some(b'\n') => Ok(Some(line)),
        Some(_) if line.len() + 1 >= octets_max => {
            Err(io::Error::new(io::ErrorKind::InvalidData, format!("a line is longer than {octets_max} octets")))
        }
        Some(_) => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

async fn write_line(writer: &mut (impl AsyncWrite + Unpin), value: &impl serde::Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    writer.write_all(&line).await
}
