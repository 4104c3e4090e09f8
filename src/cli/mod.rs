//! The command line: arguments, output, progress, exit codes. clap's, indicatif's and rpassword's owner.
//!
//! Owns: what people type and read. Promises: what a program may read goes to standard output, everything else to
//! standard error; `--json` gives one object a line; an error says what, where, and what to do next; the exit codes are
//! those of the help. Never: knows how a task is done. Errors are printed once, at the end.

mod arguments;
mod blob;
mod exit;
mod failure;
mod log;
mod output;
mod password;
mod progress;
mod quickstart;
mod spam;
mod task;

use crate::{config::TEMPLATE, server::Server};
use arguments::{Arguments, Command, ConfigCommand};
use clap::Parser as _;
use failure::Failed;
use std::process::ExitCode;

/// Runs the command that the process was started with.
pub fn run() -> ExitCode {
    let arguments = Arguments::parse();
    match start(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failed) => {
            eprintln!("postern: {failed}");
            failed.exit_code()
        }
    }
}

fn start(arguments: Arguments) -> Result<(), Failed> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Failed::Runtime)?;
    // On the heap: a future that starts everything is larger than a stack likes.
    runtime.block_on(Box::pin(command(arguments)))
}

async fn command(arguments: Arguments) -> Result<(), Failed> {
    let Arguments { settings, command } = arguments;
    match command {
        Command::Quickstart(arguments) => quickstart::run(arguments, &settings).await,
        Command::Spam(command) => spam::run(command, &settings).await,
        Command::Serve => {
            let config = settings.load()?;
            log::start(&config, None);
            Ok(Server::start(config).await?.run().await?)
        }
        Command::Config(ConfigCommand::Check) => {
            settings.load()?;
            println!("the configuration is right");
            Ok(())
        }
        Command::Config(ConfigCommand::Default) => {
            print!("{TEMPLATE}");
            Ok(())
        }
        Command::Task(task) => {
            let config = settings.load()?;
            log::start(&config, Some(log::QUIET));
            task::run(&config, task, settings.output()).await
        }
    }
}
