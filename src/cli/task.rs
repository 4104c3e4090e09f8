//! Tasks: from arguments to a request, from events to what is printed.

use super::{
    arguments::{AccountTask, AliasTask, DomainTask, DryRun, Task},
    failure::Failed,
    output::Output,
    password,
};
use crate::{
    admin::{Alias, Connection, Done, Event, Request, Run},
    config::Config,
};

/// Runs one task and prints what it answers.
pub(super) async fn run(config: &Config, task: Task, output: Output) -> Result<(), Failed> {
    let request = request(task)?;
    let connection = Connection::open(config).await?;
    let done = follow(&connection, request, output).await;
    connection.close().await;
    output.done(&done?);
    Ok(())
}

async fn follow(connection: &Connection, request: Request, output: Output) -> Result<Done, Failed> {
    let mut running = connection.start(request).await?;
    while let Some(event) = running.next().await? {
        match event {
            Event::Progress(_) => {}
            Event::Item(item) => output.item(&item),
            Event::Done(done) => return Ok(done),
            Event::Failed(failure) => return Err(failure.into()),
        }
    }
    Err(Failed::NoAnswer)
}

fn request(task: Task) -> Result<Request, Failed> {
    Ok(match task {
        Task::Domain(task) => match task {
            DomainTask::Add { domain } => Request::DomainAdd { domain },
            DomainTask::List => Request::DomainList,
            DomainTask::Remove { domain, dry_run } => Request::DomainRemove { domain, run: dry_run.run() },
            DomainTask::Dns { domain } => Request::DomainDns { domain },
        },
        Task::Account(task) => match task {
            AccountTask::Add { address, password } => {
                let password = password::read(&password, &address)?;
                Request::AccountAdd { address, password }
            }
            AccountTask::List => Request::AccountList,
            AccountTask::Passwd { address, password } => {
                let password = password::read(&password, &address)?;
                Request::AccountPassword { address, password }
            }
            AccountTask::Remove { address, dry_run } => Request::AccountRemove { address, run: dry_run.run() },
        },
        Task::Alias(task) => match task {
            AliasTask::Add { alias, targets } => Request::AliasAdd { alias: Alias { name: alias, targets } },
            AliasTask::List => Request::AliasList,
            AliasTask::Remove { alias, dry_run } => Request::AliasRemove { name: alias, run: dry_run.run() },
        },
        Task::Stats => Request::Statistics,
    })
}

impl DryRun {
    fn run(&self) -> Run {
        if self.dry_run { Run::Dry } else { Run::Really }
    }
}
