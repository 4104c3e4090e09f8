//! The Date field (RFC 5322 §3.3, §4.3), leniently: the parts of a date are told apart by their shape,
//! so their order and what stands between them matters little.

use super::header::unfold;

/// A date as written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Date {
    /// Days since 1970 of the local date, time and zone disregarded (RFC 9051 §6.4.4).
    pub(super) day: i32,
    /// Seconds since 1970.
    pub(super) seconds: i64,
}

/// Reads the value of a Date field; `None` where there is no day, month and year in it.
pub(super) fn read(value: &[u8]) -> Option<Date> {
    /// No date is longer, comments included.
    const DATE_OCTETS_MAX: usize = 200;
    let value = unfold(value);
    let text = String::from_utf8_lossy(value.get(..DATE_OCTETS_MAX).unwrap_or(&value)).to_ascii_lowercase();
    // Space is allowed around colons (RFC 5322 §4.3).
    let text = without_comments(&text).split(':').map(str::trim).collect::<Vec<_>>().join(":");
    let mut parts = Parts::default();
    for word in text.split(|character: char| character.is_whitespace() || character == ',') {
        parts.take(word);
    }
    parts.date()
}

fn without_comments(text: &str) -> String {
    let mut depth = 0_usize;
    text.chars()
        .filter_map(|character| match character {
            '(' => {
                depth += 1;
                Some(' ')
            }
            ')' => {
                depth = depth.saturating_sub(1);
                None
            }
            other => (depth == 0).then_some(other),
        })
        .collect()
}

#[derive(Default)]
struct Parts {
    day: Option<i64>,
    month: Option<i64>,
    year: Option<i64>,
    seconds_of_day: Option<i64>,
    zone_minutes: Option<i64>,
    afternoon: Option<bool>,
}

impl Parts {
    fn take(&mut self, word: &str) {
        if let Some(seconds) = time(word) {
            self.seconds_of_day.get_or_insert(seconds);
            self.take_glued_zone(word);
        } else if let Some(month) = month(word) {
            self.month.get_or_insert(month);
        } else if let Some(minutes) = numeric_zone(word).filter(|_| self.seconds_of_day.is_some()) {
            self.zone_minutes.get_or_insert(minutes);
        } else if let Ok(number) = word.parse::<u32>() {
            self.take_number(i64::from(number), word.len());
        } else if word.contains('-') || word.contains('/') {
            self.take_joined(word);
        } else if let Some(minutes) = named_zone(word).filter(|_| self.seconds_of_day.is_some()) {
            self.zone_minutes.get_or_insert(minutes);
        } else if matches!(word, "am" | "pm") {
            self.afternoon = Some(word == "pm");
        }
    }

    /// Day or year, whichever is missing: the day comes first, and a year has its digits.
    fn take_number(&mut self, number: i64, digits: usize) {
        if digits <= 2 && self.day.is_none() && (1..=31).contains(&number) {
            self.day = Some(number);
        } else if digits <= 4 && self.year.is_none() {
            self.year = Some(full_year(number, digits));
        }
    }

    /// `22-Feb-2008`, `2008-02-22`, `2008-02-22T17:06:23Z`.
    fn take_joined(&mut self, word: &str) {
        let (date, time) = word.split_once('t').filter(|(date, _)| date.len() == 10).unwrap_or((word, ""));
        let pieces: Vec<&str> = date.split(['-', '/']).collect();
        match *pieces.as_slice() {
            [year, month, day] if year.len() == 4 => {
                let number = |text: &str| text.parse::<u32>().ok().map(i64::from);
                (self.year, self.month, self.day) = (number(year), number(month), number(day));
            }
            [day, name, year] if month(name).is_some() => {
                for piece in [day, name, year] {
                    self.take(piece);
                }
            }
            _ => {}
        }
        if !time.is_empty() {
            self.take(time);
        }
    }

    /// `17:06:23+0100` and `17:06:23Z`.
    fn take_glued_zone(&mut self, word: &str) {
        let zone = word.find(|character: char| !character.is_ascii_digit() && !matches!(character, ':' | '.'));
        if let Some(zone) = zone.and_then(|at| word.get(at..)) {
            let zone = zone.replace(':', "");
            self.zone_minutes = numeric_zone(&zone).or_else(|| named_zone(&zone)).or(self.zone_minutes);
        }
    }

    fn date(&self) -> Option<Date> {
        let (year, month, day) = (self.year?, self.month?, self.day?);
        if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
            return None;
        }
        let days = days_since_1970(year, month, day);
        let mut time = self.seconds_of_day.unwrap_or(0);
        let noon = 12 * 3600;
        match self.afternoon {
            Some(true) if time < noon => time += noon,
            Some(false) if time >= noon => time -= noon,
            _ => {}
        }
        let seconds = days * 86_400 + time - self.zone_minutes.unwrap_or(0) * 60;
        Some(Date { day: i32::try_from(days).ok()?, seconds })
    }
}

/// Two digits are of this century below 50, three count from 1900 (RFC 5322 §4.3).
fn full_year(number: i64, digits: usize) -> i64 {
    match digits {
        1 | 2 if number < 50 => number + 2000,
        1..=3 => number + 1900,
        _ => number,
    }
}

/// Seconds of the day of `17:06` or `17:06:23`, with whatever is glued to it.
fn time(word: &str) -> Option<i64> {
    let clock_end = word.find(|character: char| !character.is_ascii_digit() && character != ':').unwrap_or(word.len());
    let mut numbers = word.get(..clock_end)?.split(':').map(|digits| digits.parse::<u32>().ok().map(i64::from));
    let (hours, minutes) = (numbers.next()??, numbers.next()??);
    // A leap second is the last second of its minute; we have none.
    let seconds = numbers.next().flatten().unwrap_or(0).min(59);
    (hours < 24 && minutes < 60).then_some(hours * 3600 + minutes * 60 + seconds)
}

fn month(word: &str) -> Option<i64> {
    const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
    let name = word.get(..3).filter(|_| word.bytes().all(|octet| octet.is_ascii_alphabetic() || octet == b'.'))?;
    MONTHS.iter().position(|month| *month == name).and_then(|index| i64::try_from(index + 1).ok())
}

/// Minutes east of Greenwich of `+0130` or `-05`.
fn numeric_zone(word: &str) -> Option<i64> {
    let sign = if word.starts_with('-') { -1 } else { 1 };
    let digits = word.strip_prefix(['+', '-'])?;
    let number = i64::from(digits.parse::<u32>().ok().filter(|_| digits.len() <= 4 && !digits.starts_with('+'))?);
    let (hours, minutes) = if digits.len() <= 2 { (number, 0) } else { (number / 100, number % 100) };
    (hours < 24 && minutes < 60).then_some(sign * (hours * 60 + minutes))
}

/// The zones of RFC 822. Military letters are taken as UTC, since they were defined the wrong way
/// round (RFC 5322 §4.3).
fn named_zone(word: &str) -> Option<i64> {
    let hours = match word {
        "ut" | "utc" | "gmt" | "z" => 0,
        "edt" => -4,
        "est" | "cdt" => -5,
        "cst" | "mdt" => -6,
        "mst" | "pdt" => -7,
        "pst" => -8,
        _ => return None,
    };
    Some(hours * 60)
}

/// Days since 1970 of a date in the proleptic Gregorian calendar. Years are counted from March, so
/// that the leap day is the last of its year.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days_before_month = (153 * month + 2) / 5;
    year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + days_before_month + day - 719_469
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(value: &str, day: i32, seconds: i64) {
        assert_eq!(read(value.as_bytes()), Some(Date { day, seconds }), "{value}");
    }

    #[test]
    fn days_are_counted_from_1970() {
        assert_eq!(days_since_1970(1970, 1, 1), 0);
        assert_eq!(days_since_1970(2000, 2, 29), 11_016);
        assert_eq!(days_since_1970(2000, 3, 1), 11_017);
        assert_eq!(days_since_1970(1969, 12, 31), -1);
    }

    #[test]
    fn dates_are_read() {
        check("Fri, 21 Nov 1997 09:55:06 -0600", 10_186, 880_127_706);
        check("21 Nov 1997 09:55:06 +0000", 10_186, 880_106_106);
        // SENTON looks at the date as written, wherever that was.
        check("Thu, 1 Jan 1970 00:30:00 +0100", 0, -1_800);
    }

    #[test]
    fn obsolete_dates_are_read() {
        check("21 Nov 97 09:55:06 GMT", 10_186, 880_106_106);
        check("Fri, 21 Nov 1997 09(comment):   55  :  06 -0600 (CST)", 10_186, 880_127_706);
        check("Fri, 21 Nov 1997 09:55 EST (Eastern (US))", 10_186, 880_124_100);
        check("21 Nov 103 00:00:00 Z", 12_377, 12_377 * 86_400);
    }

    #[test]
    fn foreign_dates_are_read() {
        check("Fri Nov 21 09:55:06 1997", 10_186, 880_106_106);
        check("21-Nov-1997 09:55:06 +0000", 10_186, 880_106_106);
        check("1997-11-21T09:55:06Z", 10_186, 880_106_106);
        check("1997-11-21 09:55:06+00:00", 10_186, 880_106_106);
        check("Fri, 21 November 1997 09:55:06 PM UTC", 10_186, 880_149_306);
    }

    #[test]
    fn what_is_no_date_is_none() {
        for value in ["", "yesterday", "32 Foo 2020", "Nov 1997", "2020-13-01", "+-+", ":::"] {
            assert_eq!(read(value.as_bytes()), None, "{value}");
        }
    }
}
