//! The time span in which a certificate counts.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use x509_parser::certificate::X509Certificate;
use x509_parser::time::ASN1Time;

use crate::error::{Error, Part};

/// How far a new certificate's start lies in the past, so that clocks that are a little behind accept it; a quarter of its
/// life if that is less.
const CLOCK_SKEW: Duration = Duration::from_secs(5 * 60);

/// `notBefore` and `notAfter` of a certificate, to the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    not_before: SystemTime,
    not_after: SystemTime,
}

impl Validity {
    /// From `now`, less five minutes for clocks that are behind (a quarter of the duration if that is less), for the duration
    /// given.
    pub fn starting(now: SystemTime, duration: Duration) -> Self {
        Self { not_before: now - CLOCK_SKEW.min(duration / 4), not_after: now + duration }
    }

    /// The first moment it counts.
    pub fn not_before(self) -> SystemTime {
        self.not_before
    }

    /// The last moment it counts.
    pub fn not_after(self) -> SystemTime {
        self.not_after
    }

    /// Whether `now` is before, in or after the span.
    pub fn contains(self, now: SystemTime) -> bool {
        self.not_before <= now && now <= self.not_after
    }

    /// When to renew: two thirds of the span are over, a third is left to get over failures.
    pub fn renewal(self) -> SystemTime {
        let span = self.not_after.duration_since(self.not_before).unwrap_or_default();
        self.not_before + span / 3 * 2
    }

    /// The end in seconds since 1970, as metrics give it. Negative for the years before.
    pub fn not_after_unix(self) -> i64 {
        match self.not_after.duration_since(UNIX_EPOCH) {
            Ok(after) => i64::try_from(after.as_secs()).unwrap_or(i64::MAX),
            Err(before) => i64::try_from(before.duration().as_secs()).map_or(i64::MIN, |seconds| -seconds),
        }
    }

    /// A moment as these are written: RFC 3339 in UTC, to the second.
    pub fn rfc3339(moment: SystemTime) -> String {
        rfc3339(moment)
    }

    /// Refuses a span that does not contain `now`.
    pub(crate) fn check(self, part: Part, now: SystemTime) -> Result<(), Error> {
        if now < self.not_before {
            return Err(Error::NotYetValid { part, validity: self });
        }
        if now > self.not_after {
            return Err(Error::Expired { part, validity: self });
        }
        Ok(())
    }

    pub(crate) fn of(certificate: &X509Certificate<'_>) -> Self {
        let moment = |time: ASN1Time| {
            let seconds = time.timestamp();
            let distance = Duration::from_secs(seconds.unsigned_abs());
            if seconds < 0 { UNIX_EPOCH - distance } else { UNIX_EPOCH + distance }
        };
        let validity = certificate.validity();
        Self { not_before: moment(validity.not_before), not_after: moment(validity.not_after) }
    }
}

impl fmt::Display for Validity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}", rfc3339(self.not_before), rfc3339(self.not_after))
    }
}

/// A moment as RFC 3339 in UTC, to the second.
pub(crate) fn rfc3339(moment: SystemTime) -> String {
    let seconds = match moment.duration_since(UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_secs()).unwrap_or(i64::MAX),
        Err(before) => -i64::try_from(before.duration().as_secs()).unwrap_or(i64::MAX),
    };
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// The proleptic Gregorian date of a day counted from 1970-01-01.
///
/// Counts in years that start in March, so that the leap day is the last of its year.
fn civil(days: i64) -> (i64, i64, i64) {
    let from_year_zero = days + 719_468;
    let era = from_year_zero.div_euclid(146_097);
    let day_of_era = from_year_zero.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_as_rfc_3339() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_709_251_199, "2024-02-29T23:59:59Z"),
            (1_767_225_599, "2025-12-31T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(rfc3339(UNIX_EPOCH + Duration::from_secs(seconds)), text);
        }
        assert_eq!(rfc3339(UNIX_EPOCH - Duration::from_secs(1)), "1969-12-31T23:59:59Z");
    }

    #[test]
    fn renewal_leaves_a_third() {
        let now = UNIX_EPOCH + Duration::from_secs(1_000_000);
        let validity = Validity::starting(now, Duration::from_secs(3000) - CLOCK_SKEW);
        assert_eq!(validity.renewal(), now - CLOCK_SKEW + Duration::from_secs(2000));
        assert!(validity.contains(now) && !validity.contains(now + Duration::from_secs(3000)));
    }
}
