//! Dates as IMAP writes them (RFC 9051 §9, date and date-time).
//!
//! Owns: the civil calendar in both directions. Promises: `parse_date_time` reads what
//! `write_date_time` writes. Never: knows a time zone but UTC when it writes.

use super::write::push_decimal;

const SECONDS_OF_DAY: i64 = 86_400;
const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Days since 1970 of a date in the Gregorian calendar.
fn days(year: i64, month: i64, day: i64) -> i64 {
    // Years begin in March, so that the leap day is the last one.
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// Year, month and day of a day counted from 1970.
fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    (era * 400 + year_of_era + i64::from(month <= 2), month, day)
}

/// Reads `1-Feb-1994` as days since 1970; `None` for days that do not exist.
pub(crate) fn parse_date(written: &[u8]) -> Option<i32> {
    let mut fields = std::str::from_utf8(written).ok()?.split('-');
    let (day, month, year) = (fields.next()?, fields.next()?, fields.next()?);
    let month = MONTHS.iter().position(|name| name.eq_ignore_ascii_case(month))?;
    if fields.next().is_some() || !(1..=2).contains(&day.len()) || year.len() != 4 {
        return None;
    }
    let (day, month, year) = (digits(day)?, i64::try_from(month).ok()? + 1, digits(year)?);
    let found = days(year, month, day);
    (civil(found) == (year, month, day)).then_some(i32::try_from(found).ok()?)
}

/// Reads `17-Jul-1996 02:44:25 -0700` as seconds since 1970.
pub(crate) fn parse_date_time(written: &[u8]) -> Option<i64> {
    // A day below 10 is written with a space before it (date-day-fixed).
    let written = written.strip_prefix(b" ").unwrap_or(written);
    let mut fields = std::str::from_utf8(written).ok()?.split(' ');
    let (date, time, zone) = (fields.next()?, fields.next()?, fields.next()?);
    if fields.next().is_some() {
        return None;
    }
    let day = i64::from(parse_date(date.as_bytes())?);
    Some(day * SECONDS_OF_DAY + seconds_of_day(time)? - zone_seconds(zone)?)
}

fn seconds_of_day(time: &str) -> Option<i64> {
    let mut fields = time.split(':');
    let (hour, minute, second) = (fields.next()?, fields.next()?, fields.next()?);
    if fields.next().is_some() || [hour, minute, second].iter().any(|field| field.len() != 2) {
        return None;
    }
    let (hour, minute, second) = (digits(hour)?, digits(minute)?, digits(second)?);
    // 60 is a leap second.
    (hour < 24 && minute < 60 && second <= 60).then_some(hour * 3600 + minute * 60 + second)
}

fn zone_seconds(zone: &str) -> Option<i64> {
    let (sign, offset) = match zone.split_at_checked(1)? {
        ("+", offset) => (1, offset),
        ("-", offset) => (-1, offset),
        _ => return None,
    };
    let (hours, minutes) = offset.split_at_checked(2)?;
    let (hours, minutes) = (digits(hours)?, digits(minutes).filter(|_| minutes.len() == 2)?);
    (minutes < 60).then_some(sign * (hours * 3600 + minutes * 60))
}

fn digits(text: &str) -> Option<i64> {
    if text.bytes().all(|octet| octet.is_ascii_digit()) { text.parse().ok() } else { None }
}

/// Writes seconds since 1970 as a quoted date-time in UTC.
pub(crate) fn write_date_time(out: &mut Vec<u8>, seconds: i64) {
    // A year has four digits: what lies outside shows as the nearest date that can be written.
    let seconds = seconds.clamp(-62_167_219_200, 253_402_300_799);
    let (year, month, day) = civil(seconds.div_euclid(SECONDS_OF_DAY));
    let second = seconds.rem_euclid(SECONDS_OF_DAY);
    let name = usize::try_from(month - 1).ok().and_then(|month| MONTHS.get(month)).unwrap_or(&"Jan");
    out.push(b'"');
    padded(out, day, 2, b' ');
    out.push(b'-');
    out.extend_from_slice(name.as_bytes());
    out.push(b'-');
    padded(out, year, 4, b'0');
    for (separator, value) in [(b' ', second / 3600), (b':', second / 60 % 60), (b':', second % 60)] {
        out.push(separator);
        padded(out, value, 2, b'0');
    }
    out.extend_from_slice(b" +0000\"");
}

fn padded(out: &mut Vec<u8>, value: i64, width: u32, fill: u8) {
    for place in (1..width).rev() {
        if value < 10_i64.pow(place) {
            out.push(fill);
        }
    }
    push_decimal(out, value.unsigned_abs());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_count_from_1970() {
        for (written, days) in [
            ("1-Jan-1970", 0),
            ("01-jan-1970", 0),
            ("31-Dec-1969", -1),
            ("29-Feb-2000", 11_016),
            ("1-Mar-2000", 11_017),
            ("17-Jul-1996", 9_694),
        ] {
            assert_eq!(parse_date(written.as_bytes()), Some(days), "{written}");
        }
        for wrong in [
            "29-Feb-1900",
            "31-Jun-2001",
            "0-Jan-2001",
            "1-Foo-2001",
            "1-Jan-01",
            "1-Jan",
            "+1-Jan-2001",
            "1-Jan-2001-1",
        ] {
            assert_eq!(parse_date(wrong.as_bytes()), None, "{wrong}");
        }
    }

    #[test]
    fn zones_are_taken_off() {
        let utc = parse_date_time(b"17-Jul-1996 09:44:25 +0000").unwrap();
        assert_eq!(parse_date_time(b"17-Jul-1996 02:44:25 -0700"), Some(utc));
        assert_eq!(utc, 837_596_665);
        for wrong in [
            "17-Jul-1996 24:00:00 +0000",
            "17-Jul-1996 02:44 +0000",
            "17-Jul-1996 02:44:25",
            "17-Jul-1996 02:44:25 0700",
            "17-Jul-1996 02:44:25 +07",
        ] {
            assert_eq!(parse_date_time(wrong.as_bytes()), None, "{wrong}");
        }
    }

    #[test]
    fn writing_and_reading_invert_each_other() {
        for seconds in [0, -1, 837_596_665, 951_782_400, 4_102_444_799, -2_208_988_800, 253_402_300_799] {
            let mut written = Vec::new();
            write_date_time(&mut written, seconds);
            let inside = &written[1..written.len() - 1];
            assert_eq!(inside.len(), 26);
            assert_eq!(parse_date_time(inside), Some(seconds), "{}", inside.escape_ascii());
        }
    }
}
