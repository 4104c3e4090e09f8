//! A real S3 server on this machine: SeaweedFS, which `make test` installs under the target folder.

use std::{
    collections::BTreeMap,
    fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// The only bucket.
pub const BUCKET: &str = "mail";
/// The only account.
pub const ACCOUNT: &str = "postern";

/// A running server. Dropping it ends it, and so does the end of this process.
pub struct S3 {
    folder: TempDir,
    server: Child,
    ports: [u16; 8],
}

impl S3 {
    /// Starts a server; `None` where none is installed, which is a failure under `CI=true`.
    pub fn start() -> Option<Self> {
        let Some(binary) = binary() else {
            assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "no S3 server: `make prerequisites-s3` installs it");
            println!("skipped: no S3 server; `make prerequisites-s3` installs one");
            return None;
        };
        // Another process may take a port between our finding and its using it.
        for _ in 0..3 {
            let mut s3 = Self::spawn(&binary);
            if s3.answers(Duration::from_secs(60)) {
                return Some(s3);
            }
            println!("{}", fs::read_to_string(s3.folder.path().join("log")).unwrap_or_default());
        }
        panic!("{} does not answer", binary.display());
    }

    fn spawn(binary: &Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        fs::create_dir(path("data")).unwrap();
        fs::write(path("accounts"), accounts()).unwrap();
        let ports = free_ports();
        let [master, master_rpc, volume, volume_rpc, filer, filer_rpc, s3, s3_rpc] = ports;
        let mut arguments = vec!["server".to_owned(), format!("-dir={}", path("data"))];
        arguments.push(format!("-s3.config={}", path("accounts")));
        for (name, port) in [
            ("master.port", master),
            ("master.port.grpc", master_rpc),
            ("volume.port", volume),
            ("volume.port.grpc", volume_rpc),
            ("filer.port", filer),
            ("filer.port.grpc", filer_rpc),
            ("s3.port", s3),
            ("s3.port.grpc", s3_rpc),
            ("s3.port.iceberg", 0),
            ("s3.port.lance", 0),
        ] {
            arguments.push(format!("-{name}={port}"));
        }
        let fixed = "-ip=127.0.0.1 -ip.bind=127.0.0.1 -filer -s3 -s3.iam=false -s3.autoCreateBucket=false \
                     -master.telemetry=false -volume.max=50 -master.volumeSizeLimitMB=64";
        arguments.extend(fixed.split_whitespace().map(str::to_owned));
        // The shell ends the server when our end of its input closes, however this process ends.
        let script = "log=$1; shift; \"$@\" >\"$log\" 2>&1 </dev/null & server=$!; read -r _; kill -9 $server";
        let server = Command::new("sh")
            .args(["-c", script, "sh", &path("log")])
            .arg(binary)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Self { folder, server, ports }
    }

    /// Waits for the first answer; not past the server's end.
    fn answers(&mut self, within: Duration) -> bool {
        let started = Instant::now();
        while started.elapsed() < within && matches!(self.server.try_wait(), Ok(None)) {
            let healthy = ask(self.port(), "GET /healthz").is_some_and(|answer| answer.starts_with("HTTP/1.1 200"));
            if healthy {
                // A folder of its filer is a bucket of its S3.
                let made = ask(self.filer_port(), &format!("POST /buckets/{BUCKET}/"));
                return made.is_some_and(|answer| answer.starts_with("HTTP/1.1 201"));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        false
    }

    fn port(&self) -> u16 {
        let [.., s3, _] = self.ports;
        s3
    }

    fn filer_port(&self) -> u16 {
        let [_, _, _, _, filer, ..] = self.ports;
        filer
    }

    /// What a client needs to know, as `store.objects_options` has it.
    pub fn options(&self, account: &str) -> BTreeMap<String, String> {
        [
            ("endpoint", format!("http://127.0.0.1:{}", self.port())),
            ("allow_http", "true".to_owned()),
            ("region", "us-east-1".to_owned()),
            ("access_key_id", account.to_owned()),
            ("secret_access_key", secret(account)),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
    }
}

impl Drop for S3 {
    fn drop(&mut self) {
        drop(self.server.stdin.take());
        drop(self.server.wait());
    }
}

/// The answer to a request without octets, once the server ends it.
fn ask(port: u16, request: &str) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    let head = format!("{request} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}

fn secret(account: &str) -> String {
    format!("secret-of-{account}")
}

fn accounts() -> String {
    let (name, secret) = (ACCOUNT, secret(ACCOUNT));
    let credentials = format!(r#"[{{"accessKey":"{name}","secretKey":"{secret}"}}]"#);
    let actions = r#"["Admin","Read","Write","List"]"#;
    format!(r#"{{"identities":[{{"name":"{name}","credentials":{credentials},"actions":{actions}}}]}}"#)
}

/// The binary beside the test's own.
fn binary() -> Option<PathBuf> {
    let test = std::env::current_exe().ok()?;
    // target/debug/deps/NAME
    let target = test.ancestors().nth(3)?;
    Some(target.join("seaweedfs/bin/weed")).filter(|binary| binary.exists())
}

fn free_ports<const N: usize>() -> [u16; N] {
    let listeners: [TcpListener; N] = std::array::from_fn(|_| TcpListener::bind("127.0.0.1:0").unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().port())
}
