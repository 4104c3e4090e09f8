//! How far a long task is, on standard error: a bar on a terminal, a line now and then elsewhere.

use crate::admin::{Progress, Stage};
use indicatif::{ProgressBar, ProgressStyle};
use std::{
    io::{IsTerminal as _, stderr},
    time::{Duration, Instant},
};

/// Between two lines where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// Shows progress. Nothing is shown before the first.
pub(super) struct Bar {
    bar: Option<ProgressBar>,
    is_terminal: bool,
    /// When the last line was written, or the task began.
    told: Instant,
}

impl Bar {
    pub(super) fn new() -> Self {
        Self { bar: None, is_terminal: stderr().is_terminal(), told: Instant::now() }
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
        // A short task says nothing on its way.
        if self.told.elapsed() >= LINE_EVERY {
            self.told = Instant::now();
            match total {
                0 => eprintln!("{} {done}", name(stage)),
                _ => eprintln!("{} {done} of {total}", name(stage)),
            }
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
        Stage::Examining => "examining",
    }
}
