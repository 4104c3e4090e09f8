//! Debian's Postfix in front of Debian's Dovecot, in a folder of their own: durable settings as
//! shipped, LMTP between them, no content filter and no search index.

use crate::{
    measure::{Plan, Server},
    postern::{free_address, wait_for},
};
use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

const DOVECOT: &str = "/usr/sbin/dovecot";
const POSTFIX: &str = "/usr/sbin/postfix";

struct Running {
    folder: tempfile::TempDir,
}

impl Drop for Running {
    fn drop(&mut self) {
        let folder = self.folder.path();
        quiet(Command::new(POSTFIX).arg("-c").arg(folder.join("postfix")).arg("stop"));
        quiet(Command::new("/usr/bin/doveadm").arg("-c").arg(folder.join("dovecot.conf")).arg("stop"));
    }
}

fn quiet(command: &mut Command) -> bool {
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

pub fn start(_plan: &Plan) -> Result<Server, String> {
    if !Path::new(DOVECOT).exists() || !Path::new(POSTFIX).exists() {
        return Err("not installed (apt-get install postfix dovecot-imapd dovecot-lmtpd)".to_owned());
    }
    let folder =
        tempfile::Builder::new().prefix("postern-peers").tempdir_in("/var/tmp").map_err(|error| error.to_string())?;
    let root = folder.path().to_owned();
    let (smtp, imap, lmtp) = (free_address(), free_address(), free_address());
    write_dovecot(&root, imap, lmtp, "sdbox").map_err(|error| error.to_string())?;
    write_postfix(&root, smtp, lmtp).map_err(|error| error.to_string())?;
    let running = Running { folder };
    if !quiet(Command::new(DOVECOT).arg("-c").arg(root.join("dovecot.conf"))) {
        return Err("dovecot did not start (it needs root)".to_owned());
    }
    if !quiet(Command::new(POSTFIX).arg("-c").arg(root.join("postfix")).arg("start")) {
        return Err("postfix did not start (it needs root)".to_owned());
    }
    wait_for(smtp)?;
    wait_for(imap)?;
    let processes = ["queue/pid/master.pid", "run/master.pid"].iter().filter_map(|file| process_id(&root.join(file)));
    Ok(Server {
        smtp,
        imap,
        password: "bench".to_owned(),
        data: vec![root.join("mail"), root.join("queue")],
        processes: processes.collect(),
        guard: Box::new(running),
    })
}

/// Dovecot alone, with many messages in a file (mdbox): a file for each of a million would measure the file system.
pub fn start_dovecot() -> Result<Server, String> {
    if !Path::new(DOVECOT).exists() {
        return Err("not installed (apt-get install dovecot-imapd dovecot-lmtpd)".to_owned());
    }
    let folder =
        tempfile::Builder::new().prefix("postern-peers").tempdir_in("/var/tmp").map_err(|error| error.to_string())?;
    let root = folder.path().to_owned();
    let (imap, lmtp) = (free_address(), free_address());
    write_dovecot(&root, imap, lmtp, "mdbox").map_err(|error| error.to_string())?;
    let running = Running { folder };
    if !quiet(Command::new(DOVECOT).arg("-c").arg(root.join("dovecot.conf"))) {
        return Err("dovecot did not start (it needs root)".to_owned());
    }
    wait_for(imap)?;
    // It is written a moment after the port is open.
    let deadline = Instant::now() + Duration::from_secs(10);
    let master = loop {
        match process_id(&root.join("run/master.pid")) {
            Some(id) => break id,
            None if Instant::now() > deadline => return Err("dovecot does not say which process it is".to_owned()),
            None => std::thread::sleep(Duration::from_millis(20)),
        }
    };
    Ok(Server {
        smtp: lmtp,
        imap,
        password: "bench".to_owned(),
        data: vec![root.join("mail")],
        processes: vec![master],
        guard: Box::new(running),
    })
}

fn process_id(file: &PathBuf) -> Option<u32> {
    fs::read_to_string(file).ok()?.trim().parse().ok()
}

/// `form` is Dovecot's name of a mailbox format.
fn write_dovecot(root: &Path, imap: SocketAddr, lmtp: SocketAddr, form: &str) -> std::io::Result<()> {
    for folder in ["mail", "run"] {
        fs::create_dir_all(root.join(folder))?;
    }
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(root, fs::Permissions::from_mode(0o755))?;
    fs::set_permissions(root.join("mail"), fs::Permissions::from_mode(0o777))?;
    let root_name = root.display();
    let text = format!(
        "protocols = imap lmtp\nbase_dir = {root_name}/run\nlog_path = {root_name}/dovecot.log\nssl = no\n\
         disable_plaintext_auth = no\nmail_location = {form}:{root_name}/mail/%u\nfirst_valid_uid = 1\n\
         passdb {{\n  driver = static\n  args = password=bench\n}}\n\
         userdb {{\n  driver = static\n  args = uid=mail gid=mail home={root_name}/mail/%u\n}}\n\
         service imap-login {{\n  inet_listener imap {{\n    address = 127.0.0.1\n    port = {}\n  }}\n  inet_listener imaps {{\n    port = 0\n  }}\n}}\n\
         service lmtp {{\n  inet_listener lmtp {{\n    address = 127.0.0.1\n    port = {}\n  }}\n}}\n\
         mail_max_userip_connections = 100\n",
        imap.port(),
        lmtp.port()
    );
    fs::write(root.join("dovecot.conf"), text)
}

fn write_postfix(root: &Path, smtp: SocketAddr, lmtp: SocketAddr) -> std::io::Result<()> {
    for folder in ["postfix", "queue", "state"] {
        fs::create_dir_all(root.join(folder))?;
    }
    quiet(Command::new("chown").arg("postfix:").arg(root.join("state")));
    let root_name = root.display();
    let main = format!(
        "compatibility_level = 3.6\nqueue_directory = {root_name}/queue\ndata_directory = {root_name}/state\n\
         command_directory = /usr/sbin\ndaemon_directory = /usr/lib/postfix/sbin\nmeta_directory = /etc/postfix\n\
         shlib_directory = /usr/lib/postfix\nmail_owner = postfix\nsetgid_group = postdrop\nmyhostname = mx.bench.test\n\
         mydestination =\ninet_interfaces = loopback-only\ninet_protocols = ipv4\nmynetworks = 127.0.0.0/8\n\
         virtual_mailbox_domains = bench.test\nvirtual_transport = lmtp:inet:127.0.0.1:{}\nvirtual_alias_maps =\n\
         alias_maps =\nalias_database =\nlocal_recipient_maps =\nsmtpd_peername_lookup = no\nmaillog_file = {root_name}/state/mail.log\n\
         maillog_file_prefixes = /var, /tmp\nsmtpd_recipient_restrictions = permit_mynetworks, reject\n",
        lmtp.port()
    );
    fs::write(root.join("postfix/main.cf"), main)?;
    fs::write(root.join("postfix/master.cf"), master(smtp))?;
    allow_configuration(&root.join("postfix"))
}

/// Every service of the stock master.cf, out of the chroot, the listener moved to our port.
fn master(smtp: SocketAddr) -> String {
    let services = [
        ("pickup", "unix n - n 60 1 pickup"),
        ("cleanup", "unix n - n - 0 cleanup"),
        ("qmgr", "unix n - n 300 1 qmgr"),
        ("tlsmgr", "unix - - n 1000? 1 tlsmgr"),
        ("rewrite", "unix - - n - - trivial-rewrite"),
        ("bounce", "unix - - n - 0 bounce"),
        ("defer", "unix - - n - 0 bounce"),
        ("trace", "unix - - n - 0 bounce"),
        ("verify", "unix - - n - 1 verify"),
        ("flush", "unix n - n 1000? 0 flush"),
        ("proxymap", "unix - - n - - proxymap"),
        ("proxywrite", "unix - - n - 1 proxymap"),
        ("smtp", "unix - - n - - smtp"),
        ("relay", "unix - - n - - smtp"),
        ("showq", "unix n - n - - showq"),
        ("error", "unix - - n - - error"),
        ("retry", "unix - - n - - error"),
        ("discard", "unix - - n - - discard"),
        ("local", "unix - n n - - local"),
        ("virtual", "unix - n n - - virtual"),
        ("lmtp", "unix - - n - - lmtp"),
        ("anvil", "unix - - n - 1 anvil"),
        ("scache", "unix - - n - 1 scache"),
        ("postlog", "unix-dgram n - n - 1 postlogd"),
    ];
    let listener = format!("127.0.0.1:{} inet n - n - - smtpd\n", smtp.port());
    services.iter().fold(listener, |text, (name, service)| format!("{text}{name} {service}\n"))
}

/// Postfix's set-gid programs take a configuration folder only where the main one names it.
fn allow_configuration(folder: &Path) -> std::io::Result<()> {
    let main = Path::new("/etc/postfix/main.cf");
    if !main.exists() {
        fs::write(main, "")?;
    }
    let text = fs::read_to_string(main)?;
    let line = format!("alternate_config_directories = {}", folder.display());
    let others = text.lines().filter(|line| !line.contains("postern-peers")).collect::<Vec<_>>().join("\n");
    fs::write(main, format!("{others}\n{line}\n"))
}
