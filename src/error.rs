//! Why a call was not carried out. Only `routes/errors.rs` turns one into a status and a body.
//! Match on variants, never on text.

/// Why a call was not carried out, in the terms of whoever must act on it.
#[derive(Debug)]
pub enum Error {
    /// No valid access token. The CLI answers this with "try running `pulumi login`".
    Unauthorized(String),
    /// The caller is known and may not do this, or the lease does not open this update.
    Forbidden(String),
    /// No such thing, or none this caller may see. Holds the sentence, as "Stack 'a/b/c' not found".
    NotFound(String),
    /// Well formed, but refused by the state of the stack. Holds the sentence.
    Conflict(String),
    /// The request is wrong.
    Invalid(Box<Invalid>),
    /// Too many wrong tokens from one address; the next is looked at after `retry_secs`.
    TooManyAttempts {
        /// Seconds to wait.
        retry_secs: i64,
    },
    /// A body, or what it inflates to, is over its limit.
    TooLarge {
        /// The limit in bytes.
        bytes_max: usize,
    },
    /// A queue is full. Nothing changed, so trying again is safe.
    Busy,
    /// The data cannot be read or written now: a read-only or failing disk. Holds the sentence.
    Unavailable(String),
    /// The disk is full. Nothing of the request was stored; it works again when there is space.
    OutOfSpace,
    /// Something stored is not as it was written, and is not shown. Holds what and where.
    Damaged(String),
    /// Our fault. The log gets the cause; the caller gets "internal error" and a request id.
    Internal(Box<Internal>),
}

/// What is wrong with a request. Boxed, like the next: each `?` moves an error, and a short one is a smaller program.
#[derive(Debug)]
pub struct Invalid {
    /// The part of the request that is wrong, as `name` or `entries[3].kind`.
    pub field: String,
    /// What is wrong with it and what would be right, as a sentence for the person who sent it.
    pub why: String,
}

/// What went wrong on our side.
#[derive(Debug)]
pub struct Internal {
    /// What was being done, as "read the stack's journal".
    pub during: String,
    /// What went wrong.
    pub cause: Box<dyn std::error::Error + Send + Sync>,
}

impl Error {
    /// The request's `field` is wrong for the reason `why`.
    #[cold]
    pub fn invalid(field: impl Into<String>, why: impl Into<String>) -> Error {
        Error::Invalid(Box::new(Invalid { field: field.into(), why: why.into() }))
    }

    /// Something of ours failed while doing `during`.
    #[cold]
    pub fn internal(
        during: impl Into<String>,
        cause: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Error {
        Error::Internal(Box::new(Internal { during: during.into(), cause: cause.into() }))
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Error::Unauthorized(why) | Error::Forbidden(why) => f.write_str(why),
            Error::NotFound(why) | Error::Conflict(why) | Error::Unavailable(why) => f.write_str(why),
            Error::Invalid(wrong) if wrong.field.is_empty() => f.write_str(&wrong.why),
            Error::Invalid(wrong) => write!(f, "{}: {}", wrong.field, wrong.why),
            Error::TooManyAttempts { .. } => f.write_str("too many wrong tokens from this address"),
            Error::TooLarge { bytes_max } => write!(f, "the body is larger than {bytes_max} bytes"),
            Error::Busy => f.write_str("the server is busy; nothing was changed, try again"),
            Error::Damaged(what) => write!(
                f,
                "the database is damaged: {what}. Nothing wrong is shown instead; `pulumi-backend verify` tells what \
                 else is damaged, `pulumi-backend restore` brings back a backup"
            ),
            Error::OutOfSpace => f.write_str("the server's disk is full; nothing was stored"),
            Error::Internal(failure) => write!(f, "could not {}: {}", failure.during, failure.cause),
        }
    }
}

impl std::error::Error for Error {}
