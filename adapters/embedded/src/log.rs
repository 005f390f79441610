//! Logs by defmt, or nothing at all. What peers say does not belong into logs: sizes and endings only.

#[cfg(feature = "defmt")]
macro_rules! log {
    ($level:ident, $($arguments:tt)*) => { ::defmt::$level!($($arguments)*) };
}

#[cfg(not(feature = "defmt"))]
macro_rules! log {
    ($level:ident, $format:literal $(, $argument:expr)*) => {{ $( let _ = &$argument; )* }};
}

pub(crate) use log;
