//! The clock, as events, records and run names write it. Nothing that enters a key reads it.

/// Now in UTC, as `2026-01-31T12:00:00.123Z`.
pub fn now() -> String {
    format!("{:.3}", jiff::Timestamp::now())
}

/// Seconds since 1970.
pub fn seconds() -> u64 {
    u64::try_from(jiff::Timestamp::now().as_second()).unwrap_or(0)
}

/// The name of a run that begins now: sorts by time, and two that begin together differ.
pub fn run_name() -> String {
    let now = jiff::Timestamp::now();
    let unique = now.subsec_nanosecond().unsigned_abs() ^ (std::process::id() << 12);
    // With milliseconds: two short runs in one second must not change places.
    format!("{}-{:03}{:04x}", now.strftime("%Y%m%d-%H%M%S"), now.subsec_millisecond(), unique & 0xffff)
}
