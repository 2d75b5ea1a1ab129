//! What an administrator asks for.

pub mod backup;
pub mod key;
pub mod key_file;
pub mod key_source;
pub mod verify;
