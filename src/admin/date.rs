//! Dates as files and people have them, in UTC.

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const WEEKDAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
const SECONDS_OF_DAY: i64 = 86_400;

/// `2026-11-25T05:01:49Z` (RFC 3339).
pub(super) fn rfc3339(seconds: i64) -> String {
    let (year, month, day) = civil(seconds.div_euclid(SECONDS_OF_DAY));
    format!("{year:04}-{month:02}-{day:02}T{}Z", time_of_day(seconds))
}

/// `Wed Nov 25 05:01:49 2026`, as C's `asctime` writes it (RFC 4155 §2).
pub(super) fn asctime(seconds: i64) -> String {
    let days = seconds.div_euclid(SECONDS_OF_DAY);
    let (year, month, day) = civil(days);
    let name = |names: &[&'static str], index: i64| {
        usize::try_from(index).ok().and_then(|index| names.get(index).copied()).unwrap_or_default()
    };
    let (weekday, month) = (name(&WEEKDAYS, days.rem_euclid(7)), name(&MONTHS, month - 1));
    format!("{weekday} {month} {day:2} {} {year:04}", time_of_day(seconds))
}

/// Days since 1970 of `2026-11-25` or `2026/11/25`; `None` for days that do not exist.
pub(super) fn day(written: &str) -> Option<i32> {
    let mut fields = written.split(['-', '/']);
    let (year, month, day) = (fields.next()?, fields.next()?, fields.next()?);
    if fields.next().is_some() || year.len() != 4 {
        return None;
    }
    let (year, month, day) = (year.parse().ok()?, month.parse().ok()?, day.parse().ok()?);
    let found = days(year, month, day);
    if civil(found) == (year, month, day) { i32::try_from(found).ok() } else { None }
}

/// Seconds since 1970 of `2026-11-25T05:01:49Z`, of the first second of `2026-11-25`, or of so long ago: `90m`, `12h`,
/// `3d`, `2w`.
pub(super) fn time(written: &str, now: i64) -> Option<i64> {
    if let Some(start) = day(written) {
        return Some(i64::from(start) * SECONDS_OF_DAY);
    }
    if let Some((date, time)) = written.split_once('T') {
        let mut fields = time.strip_suffix('Z').unwrap_or(time).split(':');
        let mut field = |end: i64| fields.next()?.parse::<i64>().ok().filter(|value| (0..end).contains(value));
        let seconds = field(24)? * 3600 + field(60)? * 60 + field(60)?;
        return if fields.next().is_none() { Some(i64::from(day(date)?) * SECONDS_OF_DAY + seconds) } else { None };
    }
    let (number, unit) = written.split_at_checked(written.len().checked_sub(1)?)?;
    let unit = match unit {
        "m" => 60,
        "h" => 3600,
        "d" => SECONDS_OF_DAY,
        "w" => 7 * SECONDS_OF_DAY,
        _ => return None,
    };
    now.checked_sub(i64::from(number.parse::<u32>().ok()?).checked_mul(unit)?)
}

fn time_of_day(seconds: i64) -> String {
    let seconds = seconds.rem_euclid(SECONDS_OF_DAY);
    format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

/// Days since 1970 of a date in the Gregorian calendar. Years begin in March, so that the leap day is the last one.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let day_of_year = (153 * (month + 9).rem_euclid(12) + 2) / 5 + day - 1;
    let year_of_era = year.rem_euclid(400);
    year.div_euclid(400) * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// Year, month and day of a day counted from 1970.
fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    let year = shifted.div_euclid(146_097) * 400 + year_of_era + i64::from(month <= 2);
    (year, month, day_of_year - (153 * march_month + 2) / 5 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_written_and_days_read() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00Z");
        assert_eq!(rfc3339(951_827_696), "2000-02-29T12:34:56Z");
        assert_eq!(rfc3339(-1), "1969-12-31T23:59:59Z");
        assert_eq!(asctime(883_789_534), "Sat Jan  3 01:05:34 1998");
        assert_eq!(day("2000-02-29"), Some(11_016));
        assert_eq!(day("2000/3/1"), Some(11_017));
        for none in ["2001-02-29", "2000-13-01", "2000-00-10", "x", "2000-1", "20-01-01"] {
            assert_eq!(day(none), None, "{none}");
        }
    }

    #[test]
    fn times_are_read_as_dates_and_as_so_long_ago() {
        let now = 1_000_000_000;
        assert_eq!(time("2000-02-29T12:34:56Z", now), Some(951_827_696));
        assert_eq!(time("2000-02-29", now), Some(951_782_400));
        assert_eq!(time("90m", now), Some(now - 5400));
        assert_eq!(time("2w", now), Some(now - 14 * 86_400));
        for none in ["", "d", "3", "-1d", "2000-02-29T24:00:00Z", "2000-02-29T1:2", "2000-02-29T1:2:3:4", "3y", "ü"] {
            assert_eq!(time(none, now), None, "{none}");
        }
    }
}
