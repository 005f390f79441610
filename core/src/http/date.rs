//! Dates (RFC 9110, 5.6.7).

/// The moment that a date of HTTP names, in seconds since the beginning of 1970: as in `Sun, 06 Nov 1994 08:49:37 GMT`, or in
/// one of the two forms of old, `Sunday, 06-Nov-94 08:49:37 GMT` (of the years 1970 to 2069) and `Sun Nov  6 08:49:37 1994`.
/// `None`: it is no date, or one before 1970. The day of the week is not looked at.
pub(crate) fn seconds(date: &[u8]) -> Option<u64> {
    let mut words = [&b""[..]; 8];
    let mut rest = date.split(|byte| b" ,-:".contains(byte)).filter(|word| !word.is_empty());
    let mut count = 0;
    for (word, next) in words.iter_mut().zip(&mut rest) {
        (*word, count) = (next, count + 1);
    }
    if rest.next().is_some() {
        return None;
    }
    let ([day, month, year], [hour, minute, second]) = match (count, words) {
        (8, [_, day, month, year, hour, minute, second, b"GMT"]) => {
            ([day, month, year], [hour, minute, second])
        }
        (7, [_, month, day, hour, minute, second, year, _]) => ([day, month, year], [hour, minute, second]),
        _ => return None,
    };
    let year = match number(year, 9999)? {
        short @ 0..70 if year.len() == 2 => 2000 + short,
        short @ 70..100 if year.len() == 2 => 1900 + short,
        year => year,
    };
    let days = days(year, month, number(day, 31)?)?;
    // A leap second is the first one of the next minute.
    let (hour, minute, second) = (number(hour, 23)?, number(minute, 59)?, number(second, 60)?);
    Some(((days * 24 + hour) * 60 + minute) * 60 + second)
}

/// How many days lie between the beginning of 1970 and this one.
fn days(year: u64, month: &[u8], day: u64) -> Option<u64> {
    const MONTHS: [(&[u8; 3], u64); 12] = [
        (b"Jan", 31),
        (b"Feb", 28),
        (b"Mar", 31),
        (b"Apr", 30),
        (b"May", 31),
        (b"Jun", 30),
        (b"Jul", 31),
        (b"Aug", 31),
        (b"Sep", 30),
        (b"Oct", 31),
        (b"Nov", 30),
        (b"Dec", 31),
    ];
    let leap_days = |year: u64| year / 4 - year / 100 + year / 400;
    let before = year.checked_sub(1)?;
    let is_leap = leap_days(year) - leap_days(before);
    let at = MONTHS.iter().position(|(name, _)| name[..] == *month)?;
    let lengths = MONTHS.iter().map(|(name, days)| days + if *name == b"Feb" { is_leap } else { 0 });
    if day == 0 || day > lengths.clone().nth(at)? {
        return None;
    }
    let of_years = year.checked_sub(1970)? * 365 + leap_days(before) - leap_days(1969);
    Some(of_years + lengths.take(at).sum::<u64>() + day - 1)
}

/// Up to four digits.
fn number(digits: &[u8], most: u64) -> Option<u64> {
    if !(1..=4).contains(&digits.len()) {
        return None;
    }
    let number = digits
        .iter()
        .try_fold(0, |number, byte| byte.is_ascii_digit().then_some(number * 10 + u64::from(byte & 0xf)))?;
    (number <= most).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::seconds;

    #[test]
    fn the_three_forms() {
        for date in
            ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"]
        {
            assert_eq!(seconds(date.as_bytes()), Some(784_111_777), "{date}");
        }
        for (date, expected) in [
            ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
            ("Tue, 29 Feb 2000 00:00:00 GMT", 951_782_400),
            ("Sat, 31 Dec 2016 23:59:60 GMT", 1_483_228_800),
            ("Mon, 01 Mar 2100 00:00:00 GMT", 4_107_542_400),
            ("Fri, 31 Dec 9999 23:59:59 GMT", 253_402_300_799),
            ("Tuesday, 31-Dec-69 23:59:59 GMT", 3_155_759_999),
            ("Thursday, 01-Jan-70 00:00:00 GMT", 0),
        ] {
            assert_eq!(seconds(date.as_bytes()), Some(expected), "{date}");
        }
    }

    #[test]
    fn what_is_none() {
        for date in [
            "",
            "120",
            "Sun, 06 Nov 1994 08:49:37",
            "Sun, 06 Nov 1994 08:49:37 CET",
            "Sun, 06 Nov 1994 08:49:37 GMT GMT",
            "Sun, 00 Nov 1994 08:49:37 GMT",
            "Sun, 31 Nov 1994 08:49:37 GMT",
            "Sun, 29 Feb 2100 08:49:37 GMT",
            "Sun, 06 nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1969 08:49:37 GMT",
            "Sun, 06 Nov 0 08:49:37 GMT",
            "Sun, 06 Nov 11994 08:49:37 GMT",
            "Sun, 06 Nov 1994 24:49:37 GMT",
            "Sun, 06 Nov 1994 08:60:37 GMT",
            "Sun, 06 Nov 1994 08:49:61 GMT",
            "Sun, 06 Nov 1994 +8:49:37 GMT",
            "Sun Nov 6 08:49:37",
        ] {
            assert_eq!(seconds(date.as_bytes()), None, "{date}");
        }
    }
}
