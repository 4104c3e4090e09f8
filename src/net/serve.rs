//! The loop that accepts, and the tasks of sessions.

use super::{Accepted, Listener, Shutdown};
use std::{future::Future, io, net::SocketAddr, time::Duration};
use tokio::task::{JoinError, JoinSet};

/// Runs `session` for each accepted connection, in a task of its own, until shutdown. Then accepts no more and waits
/// until the last session has ended or `drain` has passed; what still runs then is dropped.
///
/// A session learns of the shutdown from its own clone of [`Shutdown`].
pub async fn serve<S, F>(
    mut listener: Listener,
    refusal: &'static [u8],
    mut shutdown: Shutdown,
    drain: Duration,
    session: S,
) -> io::Result<()>
where
    S: Fn(Accepted) -> F,
    F: Future<Output = ()> + Send + 'static,
{
    let address = listener.address();
    let mut sessions = JoinSet::new();
    loop {
        // In this order: no chance decides what happens next.
        tokio::select! {
            biased;
            () = shutdown.begun() => break,
            // Ended tasks are taken out as they end, so the set stays as small as the permits allow.
            Some(ended) = sessions.join_next() => report(address, ended),
            accepted = listener.accept(refusal) => drop(sessions.spawn(session(accepted?))),
        }
    }
    drop(listener);
    let drained = tokio::time::timeout(drain, async {
        while let Some(ended) = sessions.join_next().await {
            report(address, ended);
        }
    });
    if drained.await.is_err() {
        tracing::warn!(listener = %address, sessions = sessions.len(), "sessions dropped at the end of the drain");
        sessions.shutdown().await;
    }
    Ok(())
}

fn report(listener: SocketAddr, ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%listener, %error, "a session failed");
    }
}

#[cfg(test)]
mod tests {
    use super::{super::ListenerSettings, *};
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpStream,
    };

    #[tokio::test]
    async fn a_drain_waits_for_sessions_and_one_that_panics_harms_no_other() {
        let settings = ListenerSettings {
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            connections_max: 9,
            connections_per_address_max: 9,
        };
        let listener = Listener::bind(settings).await.unwrap();
        let address = listener.address();
        let (begin, shutdown) = Shutdown::channel();
        let echo = |mut accepted: Accepted| async move {
            let octet = accepted.stream.read_u8().await.expect("a client that goes away without a word");
            accepted.stream.write_all(&[octet]).await.unwrap();
        };
        let server = tokio::spawn(serve(listener, b"", shutdown, Duration::from_secs(60), echo));

        drop(TcpStream::connect(address).await.unwrap());
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(b"a").await.unwrap();
        assert_eq!(client.read_u8().await.unwrap(), b'a');

        let mut last = TcpStream::connect(address).await.unwrap();
        last.write_all(b"b").await.unwrap();
        assert_eq!(last.read_u8().await.unwrap(), b'b');
        let mut waiting = TcpStream::connect(address).await.unwrap();
        begin.begin();
        // Accepted before the drain or closed by it: either way the server ends, and only after its sessions.
        let _ = waiting.write_all(b"c").await;
        server.await.unwrap().unwrap();
    }
}
