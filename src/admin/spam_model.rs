//! Training and measuring models of the spam filter. Needs no store.

use super::AdminError;
use crate::{
    config::Config,
    spam::{Corpus, Filter, Measure, ModelError, Scored, Thresholds, train},
};
use serde::Serialize;
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// How well a model tells spam from ham.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Judgement {
    /// Ham messages.
    pub ham: usize,
    /// Spam messages.
    pub spam: usize,
    /// The chance in percent that a ham scores above a spam.
    pub one_minus_roca_percent: f64,
    /// Share of spam in percent that is missed where one ham in a thousand is called spam.
    pub spam_missed_percent_at_0_1_percent_ham: f64,
    /// Ham that would go to Junk at the threshold in use.
    pub ham_to_junk: usize,
    /// Spam that would go to Junk at it.
    pub spam_to_junk: usize,
}

/// A model that was trained and written.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TrainedModel {
    /// Its name.
    pub name: String,
    /// Ham messages it was trained on.
    pub ham: usize,
    /// Spam messages.
    pub spam: usize,
    /// How it does on what was held back.
    pub held_back: Judgement,
}

/// Trains a model and writes it. `progress` is called with the number of messages read. CPU for minutes.
pub fn train_model(
    config: &Config,
    name: &str,
    corpora: &[PathBuf],
    output: &Path,
    progress: impl FnMut(usize),
) -> Result<TrainedModel, AdminError> {
    let corpora = open(corpora)?;
    let training = train(name, &corpora, progress).map_err(|error| AdminError::Corpus(error.to_string()))?;
    let held_back = judgement(&training.held_back, config);
    write(output, &training.model.to_octets()).map_err(|error| AdminError::File(output.to_owned(), error))?;
    let (ham, spam) = training.trained_on;
    Ok(TrainedModel { name: name.to_owned(), ham, spam, held_back })
}

/// Measures the model in use. `progress` is called with the number of messages read.
pub fn measure_model(
    config: &Config,
    corpora: &[PathBuf],
    mut progress: impl FnMut(usize),
) -> Result<Judgement, AdminError> {
    let filter = filter(config).map_err(|error| AdminError::Corpus(error.to_string()))?;
    let mut scored: Vec<Scored> = Vec::new();
    for corpus in &open(corpora)? {
        for example in corpus.examples() {
            let example = example.map_err(|error| AdminError::Corpus(error.to_string()))?;
            scored.push(filter.score(&example));
            progress(scored.len());
        }
    }
    Ok(judgement(&Measure::of(scored), config))
}

fn filter(config: &Config) -> Result<Filter, ModelError> {
    let thresholds = Thresholds { junk: config.spam.junk, reject: config.spam.reject };
    match config.spam_model() {
        Some(file) => Filter::load(file, thresholds),
        None => Filter::shipped(thresholds),
    }
}

fn judgement(measure: &Measure, config: &Config) -> Judgement {
    let junk = config.spam.junk.clamp(f32::EPSILON, 1.0 - f32::EPSILON);
    let (ham_to_junk, spam_to_junk) = measure.above((junk / (1.0 - junk)).ln());
    Judgement {
        ham: measure.ham,
        spam: measure.spam,
        one_minus_roca_percent: measure.one_minus_roca_percent,
        spam_missed_percent_at_0_1_percent_ham: measure.spam_missed_percent_at_0_1_percent_ham,
        ham_to_junk,
        spam_to_junk,
    }
}

fn open(corpora: &[PathBuf]) -> Result<Vec<Corpus>, AdminError> {
    let open = |index: &PathBuf| Corpus::open(index).map_err(|error| AdminError::File(index.clone(), error));
    corpora.iter().map(open).collect()
}

/// A server that reads the file finds the old model or the new one, whole.
fn write(file: &Path, octets: &[u8]) -> io::Result<()> {
    let unfinished = file.with_extension("new");
    fs::write(&unfinished, octets)?;
    fs::File::open(&unfinished)?.sync_all()?;
    fs::rename(unfinished, file)
}
