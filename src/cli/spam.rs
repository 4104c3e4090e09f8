//! Models of the spam filter: training and measuring.

use super::{
    arguments::{SettingArguments, SpamCommand},
    failure::Failed,
    output::{Output, json, line, row},
    progress::Bar,
};
use crate::admin::{AdminError, Judgement, Progress, Stage, TrainedModel, measure_model, train_model};

/// Trains or measures.
pub(super) async fn run(command: SpamCommand, settings: &SettingArguments) -> Result<(), Failed> {
    let (config, output) = (settings.load()?, settings.output());
    match command {
        SpamCommand::Train { name, output: file, corpora } => {
            let trained = blocking(move |progress| train_model(&config, &name, &corpora, &file, progress)).await?;
            line(&match output {
                Output::Json => json(&trained),
                Output::Text => trained_text(&trained),
            });
        }
        SpamCommand::Measure { corpora } => {
            let judgement = blocking(move |progress| measure_model(&config, &corpora, progress)).await?;
            line(&match output {
                Output::Json => json(&judgement),
                Output::Text => judgement_text(&judgement),
            });
        }
    }
    Ok(())
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce(&mut dyn FnMut(usize)) -> Result<T, AdminError> + Send + 'static,
) -> Result<T, Failed> {
    let worked = tokio::task::spawn_blocking(move || {
        let mut bar = Bar::new();
        let mut progress = |done: usize| bar.show(Progress { stage: Stage::Reading, done: done as u64, total: 0 });
        work(&mut progress)
    });
    Ok(worked.await.map_err(|_| Failed::NoAnswer)??)
}

fn trained_text(trained: &TrainedModel) -> String {
    let TrainedModel { name, ham, spam, held_back } = trained;
    format!(
        "{}\n{}\n{}",
        row("model", name),
        row("trained on", &format!("{ham} ham, {spam} spam")),
        judgement_text(held_back)
    )
}

fn judgement_text(judgement: &Judgement) -> String {
    let Judgement { ham, spam, ham_to_junk, spam_to_junk, .. } = judgement;
    [
        row("measured on", &format!("{ham} ham, {spam} spam")),
        row("ham to Junk", &share(*ham_to_junk, *ham)),
        row("spam to Junk", &share(*spam_to_junk, *spam)),
        row("1-ROCA", &format!("{:.4} %", judgement.one_minus_roca_percent)),
        row(
            "spam missed",
            &format!("{:.2} % where 1 ham in 1000 is called spam", judgement.spam_missed_percent_at_0_1_percent_ham),
        ),
    ]
    .join("\n")
}

fn share(part: usize, whole: usize) -> String {
    format!("{part} ({:.2} %)", 100.0 * part as f64 / whole.max(1) as f64)
}
