//! How far a long task is, on standard error: a bar on a terminal, a line now and then elsewhere.

use crate::admin::{Progress, Stage};
use indicatif::{ProgressBar, ProgressStyle};
use std::io::{IsTerminal as _, stderr};

/// Shows progress. Nothing is shown before the first.
pub(super) struct Bar {
    bar: Option<ProgressBar>,
    is_terminal: bool,
    /// Stage and tenths of what was last written as a line.
    told: Option<(Stage, u64)>,
}

impl Bar {
    pub(super) fn new() -> Self {
        Self { bar: None, is_terminal: stderr().is_terminal(), told: None }
    }

    /// Shows how far it is.
    pub(super) fn show(&mut self, progress: Progress) {
        let Progress { stage, done, total } = progress;
        if self.is_terminal {
            let bar = self.bar.get_or_insert_with(|| ProgressBar::new(total).with_style(style()));
            bar.set_message(name(stage));
            bar.set_length(total);
            bar.set_position(done);
            return;
        }
        let told = Some((stage, done.saturating_mul(10).checked_div(total).unwrap_or_default()));
        if self.told != told {
            self.told = told;
            eprintln!("{} {done} of {total}", name(stage));
        }
    }

    /// Prints something else without spoiling the bar.
    pub(super) fn aside(&self, print: impl FnOnce()) {
        match &self.bar {
            Some(bar) => bar.suspend(print),
            None => print(),
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn style() -> ProgressStyle {
    let style = ProgressStyle::with_template("{msg:10} [{wide_bar}] {pos}/{len}  {per_sec}  {eta} left");
    style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> ")
}

const fn name(stage: Stage) -> &'static str {
    match stage {
        Stage::Reading => "reading",
        Stage::Writing => "writing",
        Stage::Verifying => "verifying",
        Stage::Indexing => "indexing",
    }
}
