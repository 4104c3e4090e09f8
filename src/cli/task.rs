//! Tasks: from arguments to a request, from events to what is printed.

use super::{
    arguments::{
        AccountTask, AliasTask, BlobTask, CheckArgument, DoctorArguments, DomainTask, DryRun, FormArgument, IndexTask,
        MessageTask, PlaceArguments, Task, UndeleteArguments,
    },
    failure::Failed,
    output::Output,
    password,
    progress::Bar,
};
use crate::{
    admin::{
        Alias, Check, Connection, Depth, Done, Event, Examination, Failure, Form, Kind, LimitChange, MessagePlace,
        Request, Run,
    },
    config::Config,
};
use std::path::{Path, PathBuf};

/// Runs one task and prints what it answers.
pub(super) async fn run(config: &Config, task: Task, output: Output) -> Result<(), Failed> {
    let request = request(task)?;
    let connection = match &request {
        Request::Doctor(_) | Request::DoctorFromPacks => Connection::open_idle(config, &request).await?,
        _ => Connection::open(config).await?,
    };
    let done = follow(&connection, request, output).await;
    connection.close().await;
    let done = done?;
    output.done(&done);
    match damaged(&done) {
        0 => Ok(()),
        damaged => {
            let message = match done {
                Done::Examined(_) => format!("{damaged} things do not agree and were not mended"),
                Done::FromPacks(_) => format!("{damaged} messages or packs are damaged; the log names each"),
                _ => format!("{damaged} damaged; each is named above"),
            };
            Err(Failure { kind: Kind::Damaged, message }.into())
        }
    }
}

/// What a task found damaged though it went on.
fn damaged(done: &Done) -> u64 {
    match done {
        Done::Verified { damaged, .. } => *damaged,
        Done::Exported(exported) => exported.damaged,
        Done::Examined(diagnosis) => diagnosis.left(),
        Done::FromPacks(rebuilt) => rebuilt.damaged + rebuilt.damaged_packs,
        _ => 0,
    }
}

async fn follow(connection: &Connection, request: Request, output: Output) -> Result<Done, Failed> {
    let mut running = connection.start(request).await?;
    let mut bar = Bar::new();
    while let Some(event) = running.next().await? {
        match event {
            Event::Progress(progress) => bar.show(progress),
            Event::Item(item) => bar.aside(|| output.item(&item)),
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
            AccountTask::Quota { address, storage, messages } => {
                Request::AccountQuota { address, change: LimitChange { octets: storage, messages } }
            }
            AccountTask::Remove { address, dry_run } => Request::AccountRemove { address, run: dry_run.run() },
            AccountTask::Undelete { address: None, .. } => Request::AccountRemoved,
            AccountTask::Undelete { address: Some(address), into, dry_run } => {
                Request::AccountUndelete { address, into, run: run_of(dry_run) }
            }
        },
        Task::Alias(task) => match task {
            AliasTask::Add { alias, targets } => Request::AliasAdd { alias: Alias { name: alias, targets } },
            AliasTask::List => Request::AliasList,
            AliasTask::Remove { alias, dry_run } => Request::AliasRemove { name: alias, run: dry_run.run() },
        },
        Task::Import(arguments) => Request::Import {
            account: arguments.account,
            source: absolute(&arguments.source)?,
            mailbox: arguments.mailbox,
            form: arguments.form.map(FormArgument::form),
        },
        Task::Export(arguments) => Request::Export {
            account: arguments.account,
            destination: absolute(&arguments.destination)?,
            mailbox: arguments.mailbox,
            form: arguments.form.form(),
        },
        Task::Search(arguments) => {
            let (account, count) = (arguments.account, arguments.count);
            Request::Search { account, query: arguments.query.join(" "), count }
        }
        Task::Message(MessageTask::Show(place)) => Request::MessageShow(place.place()),
        Task::Message(MessageTask::Explain(place)) => Request::MessageExplain(place.place()),
        Task::Message(MessageTask::Undelete(arguments)) => {
            let UndeleteArguments { account, mailbox, since, dry_run } = arguments;
            Request::MessageUndelete { account, mailbox, since, run: run_of(dry_run) }
        }
        Task::Index(IndexTask::Rebuild { account }) => Request::IndexRebuild { account },
        Task::Blob(task) => match task {
            BlobTask::Verify => Request::BlobVerify,
            BlobTask::Pack => Request::BlobPack,
            BlobTask::Gc { explain: Some(content), .. } => Request::BlobExplain { content },
            BlobTask::Gc { dry_run, .. } => Request::BlobSweep { run: dry_run.run() },
            BlobTask::Stats => Request::BlobStatistics,
        },
        Task::Stats => Request::Statistics,
        Task::Doctor(arguments) if arguments.from_packs => Request::DoctorFromPacks,
        Task::Doctor(arguments) => Request::Doctor(arguments.examination()),
    })
}

/// The server has a working folder of its own.
fn absolute(path: &Path) -> Result<PathBuf, Failed> {
    std::path::absolute(path).map_err(|error| {
        let message = format!("{}: {error}", path.display());
        Failure { kind: Kind::NotFound, message }.into()
    })
}

impl FormArgument {
    fn form(self) -> Form {
        match self {
            Self::Mbox => Form::Mbox,
            Self::Maildir => Form::Maildir,
            Self::Eml => Form::Eml,
        }
    }
}

impl DoctorArguments {
    fn examination(self) -> Examination {
        let run = if self.dry_run { Run::Dry } else { Run::Really };
        Examination {
            only: self.only.into_iter().map(CheckArgument::check).collect(),
            depth: if self.deep { Depth::Contents } else { Depth::Rows },
            repair: self.repair.then_some(run),
        }
    }
}

impl CheckArgument {
    fn check(self) -> Check {
        match self {
            Self::Locations => Check::Locations,
            Self::Mailboxes => Check::Mailboxes,
            Self::Records => Check::Records,
            Self::References => Check::References,
            Self::Counters => Check::Counters,
            Self::Index => Check::Index,
            Self::Objects => Check::Objects,
            Self::Contents => Check::Contents,
        }
    }
}

impl PlaceArguments {
    fn place(self) -> MessagePlace {
        MessagePlace { account: self.account, mailbox: self.mailbox, uid: self.uid }
    }
}

impl DryRun {
    fn run(&self) -> Run {
        run_of(self.dry_run)
    }
}

fn run_of(dry_run: bool) -> Run {
    if dry_run { Run::Dry } else { Run::Really }
}
