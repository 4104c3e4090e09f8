//! The command line. clap's owner.
//!
//! Owns: arguments, prompts, what is printed, exit codes (0 done, 1 failed, 2 wrong usage) and where the log goes. Promises:
//! what a program may read goes to standard output, everything else to standard error; an error says what to do next.
//! Never: takes a password as an argument, where others on the machine could read it.

use crate::{
    config::{Config, LogFormat},
    mail::{Address, Domain},
    server::{self, Server},
};
use anyhow::{Context as _, anyhow};
use clap::{Args, Parser, Subcommand};
use std::{
    future::Future,
    io::{IsTerminal as _, Read as _},
    path::PathBuf,
    process::ExitCode,
};

/// A mail server in one binary.
#[derive(Parser)]
#[command(version, about, arg_required_else_help = true, after_help = "Exit codes: 0 done, 1 failed, 2 wrong usage.")]
struct Arguments {
    #[command(flatten)]
    settings: Settings,
    #[command(subcommand)]
    command: Command,
}

/// Where settings come from.
#[derive(Args)]
struct Settings {
    /// Configuration file; without one the defaults hold
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Data folder; wins over the file
    #[arg(long, global = true, value_name = "FOLDER")]
    data: Option<PathBuf>,
    /// One setting, such as log.level=debug; wins over the file, and may be given again
    #[arg(long, global = true, value_name = "KEY=VALUE")]
    set: Vec<String>,
}

#[derive(Subcommand)]
enum Command {
    /// Run the server until SIGTERM or SIGINT
    Serve,
    /// The domains of this server
    #[command(subcommand)]
    Domain(DomainCommand),
    /// The accounts of this server
    #[command(subcommand)]
    Account(AccountCommand),
}

#[derive(Subcommand)]
enum DomainCommand {
    /// Add a domain
    Add {
        /// Such as example.org
        domain: Domain,
    },
}

#[derive(Subcommand)]
enum AccountCommand {
    /// Add an account; its address is its login name
    Add {
        /// Such as ann@example.org
        address: Address,
        /// Read the password from standard input, up to the end or the first line end
        #[arg(long)]
        password_stdin: bool,
    },
}

/// Runs the command that the process was started with.
pub fn run() -> ExitCode {
    let Arguments { settings, command } = Arguments::parse();
    match settings.load().and_then(|config| execute(command, config)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("postern: {error:#}");
            ExitCode::FAILURE
        }
    }
}

impl Settings {
    fn load(self) -> anyhow::Result<Config> {
        let mut config = Config::load(self.config.as_deref(), &self.set)?;
        if let Some(data) = self.data {
            config.server.data = data;
        }
        Ok(config)
    }
}

fn execute(command: Command, config: Config) -> anyhow::Result<()> {
    start_log(&config);
    match command {
        Command::Serve => block_on(async { Ok(Server::start(config).await?.run().await?) }),
        Command::Domain(DomainCommand::Add { domain }) => {
            block_on(async { Ok(server::add_domain(&config, &domain).await?) })?;
            eprintln!("added {domain}; next: postern account add NAME@{domain}");
            Ok(())
        }
        Command::Account(AccountCommand::Add { address, password_stdin }) => {
            let password = if password_stdin { password_from_input()? } else { password_from_prompt()? };
            block_on(async { Ok(server::add_account(&config, &address, &password).await?) })?;
            eprintln!("added {address}");
            Ok(())
        }
    }
}

fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    // On the heap: a future that starts everything is larger than a stack likes.
    runtime.context("cannot start threads")?.block_on(Box::pin(work))
}

/// One line of standard input, without its end.
fn password_from_input() -> anyhow::Result<Vec<u8>> {
    let mut input = Vec::new();
    std::io::stdin().lock().read_to_end(&mut input).context("cannot read the password from standard input")?;
    let line = input.split(|octet| *octet == b'\n').next().unwrap_or_default();
    Ok(line.strip_suffix(b"\r").unwrap_or(line).to_vec())
}

fn password_from_prompt() -> anyhow::Result<Vec<u8>> {
    let ask = |prompt| {
        rpassword::prompt_password(prompt)
            .context("cannot ask for the password; use --password-stdin without a terminal")
    };
    let password = ask("Password: ")?;
    if password != ask("Again: ")? {
        return Err(anyhow!("the two passwords differ; nothing was changed"));
    }
    Ok(password.into_bytes())
}

fn start_log(config: &Config) {
    let level = config.log.level.name();
    // RUST_LOG, where it is set, may ask for single modules.
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(level));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match config.log.format {
        LogFormat::Human => log.with_ansi(std::io::stderr().is_terminal()).init(),
        LogFormat::Json => log.json().flatten_event(true).init(),
    }
}
