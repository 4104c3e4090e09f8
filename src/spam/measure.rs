//! Figures of a filter on labelled messages.

use super::corpus::Label;
use serde::Serialize;

/// One message with its label and what a filter said.
#[derive(Clone, Copy, Debug)]
pub struct Scored {
    /// What it is.
    pub label: Label,
    /// Log-odds of spam.
    pub log_odds: f32,
}

/// How well a filter tells spam from ham.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Measure {
    /// Ham messages.
    pub ham: usize,
    /// Spam messages.
    pub spam: usize,
    /// The chance in percent that a random ham scores above a random spam (TREC's 1-ROCA%); 0 is perfect.
    pub one_minus_roca_percent: f64,
    /// Share of spam in percent that is missed where one ham in a thousand is called spam.
    pub spam_missed_percent_at_0_1_percent_ham: f64,
    /// Ham called spam at log-odds 0, in percent.
    pub ham_called_spam_percent: f64,
    /// Spam called ham at log-odds 0, in percent.
    pub spam_called_ham_percent: f64,
    #[serde(skip)]
    scored: Vec<Scored>,
}

impl PartialEq for Scored {
    fn eq(&self, other: &Self) -> bool {
        self.label == other.label && self.log_odds == other.log_odds
    }
}

impl Measure {
    /// Measures. O(n log n).
    pub fn of(mut scored: Vec<Scored>) -> Self {
        scored.sort_by(|one, other| other.log_odds.total_cmp(&one.log_odds));
        let spam = scored.iter().filter(|scored| scored.label == Label::Spam).count();
        let ham = scored.len() - spam;
        let mut measure = Self {
            ham,
            spam,
            one_minus_roca_percent: inversions(&scored) * 100.0 / (ham.max(1) as f64 * spam.max(1) as f64),
            spam_missed_percent_at_0_1_percent_ham: percent(missed_at(&scored, ham / 1000), spam),
            ham_called_spam_percent: 0.0,
            spam_called_ham_percent: 0.0,
            scored,
        };
        let (ham_above, spam_above) = measure.above(0.0);
        measure.ham_called_spam_percent = percent(ham_above, ham);
        measure.spam_called_ham_percent = percent(spam - spam_above, spam);
        measure
    }

    /// Ham and spam messages whose log-odds are at or above a bound.
    pub fn above(&self, log_odds: f32) -> (usize, usize) {
        let above = self.scored.iter().take_while(|scored| scored.log_odds >= log_odds);
        above.fold((0, 0), |(ham, spam), scored| match scored.label {
            Label::Ham => (ham + 1, spam),
            Label::Spam => (ham, spam + 1),
        })
    }
}

fn percent(part: usize, whole: usize) -> f64 {
    part as f64 * 100.0 / whole.max(1) as f64
}

/// Pairs of a ham that stands above a spam, in a list sorted by falling score.
fn inversions(scored: &[Scored]) -> f64 {
    let (mut ham_seen, mut pairs) = (0.0, 0.0);
    for scored in scored {
        match scored.label {
            Label::Ham => ham_seen += 1.0,
            Label::Spam => pairs += ham_seen,
        }
    }
    pairs
}

/// Spam below the point at which more than `allowed` ham messages would be called spam.
fn missed_at(scored: &[Scored], allowed: usize) -> usize {
    let mut ham_seen = 0;
    let cut = scored.iter().position(|scored| {
        ham_seen += usize::from(scored.label == Label::Ham);
        ham_seen > allowed
    });
    let below = scored.iter().skip(cut.unwrap_or(scored.len()));
    below.filter(|scored| scored.label == Label::Spam).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scored(list: &[(Label, f32)]) -> Measure {
        Measure::of(list.iter().map(|(label, log_odds)| Scored { label: *label, log_odds: *log_odds }).collect())
    }

    #[test]
    fn a_perfect_order_has_no_error() {
        let measure = scored(&[(Label::Spam, 2.0), (Label::Ham, -1.0), (Label::Spam, 1.0), (Label::Ham, -2.0)]);
        assert_eq!(measure.one_minus_roca_percent, 0.0);
        assert_eq!(measure.spam_missed_percent_at_0_1_percent_ham, 0.0);
        assert_eq!(measure.above(1.5), (0, 1));
    }

    #[test]
    fn one_inverted_pair_of_four_is_a_quarter() {
        let measure = scored(&[(Label::Spam, 2.0), (Label::Ham, 1.0), (Label::Spam, 0.5), (Label::Ham, -2.0)]);
        assert_eq!(measure.one_minus_roca_percent, 25.0);
        assert_eq!(measure.spam_missed_percent_at_0_1_percent_ham, 50.0);
        assert_eq!((measure.ham_called_spam_percent, measure.spam_called_ham_percent), (50.0, 0.0));
    }
}
