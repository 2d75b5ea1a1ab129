//! The rules, as values and pure functions: no SQL, no HTTP, no clock, no dice.
