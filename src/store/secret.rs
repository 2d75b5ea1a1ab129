//! Who asked to see secrets.

use super::{Job, Tx, sealed};
use crate::crypto::keyring::StackKey;
use crate::error::Error;

/// Records that somebody saw secrets of a stack in clear.
pub struct RecordDecryption {
    /// Of which stack.
    pub stack_id: i64,
    /// Who.
    pub user_name: String,
    /// Which secret, or which command; sealed, see `seal_what`.
    pub what: Vec<u8>,
    /// Now.
    pub now_unix: i64,
}

/// Makes the name of a secret or command ready for its row.
pub fn seal_what(key: &StackKey, user_name: &str, at_unix: i64, what: &str) -> Result<Vec<u8>, Error> {
    sealed::seal_text(key, &format!("decryption {at_unix} {user_name}"), what, None)
}

impl Job for RecordDecryption {
    const NAME: &'static str = "record_decryption";
    type Output = ();

    fn run(self, tx: &mut Tx) -> Result<(), Error> {
        const SQL: &str =
            "INSERT INTO decryptions (stack_id, at_unix, user_name, what) VALUES (?1, ?2, ?3, ?4)";
        let row = (self.stack_id, self.now_unix, &self.user_name, &self.what);
        tx.conn.prepare_cached(SQL)?.execute(row)?;
        Ok(())
    }
}
