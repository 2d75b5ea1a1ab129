//! Every ceiling: a name, a unit, one line of why. At a ceiling there is an `Error`, never a stall.

/// Bodies of calls that carry a few fields only.
pub const BODY_BYTES_SMALL: usize = 1 << 20;
/// Create an update: program, options, the stack's whole configuration (300 secrets, long values).
pub const BODY_BYTES_CONFIG: usize = 64 << 20;
/// A deployment, whole or as a checkpoint, after inflating: 10,000s of resources with large values.
pub const BODY_BYTES_DEPLOYMENT: usize = 1 << 30;
/// A batch of journal entries after inflating. One `write` entry may hold a whole state.
pub const BODY_BYTES_JOURNAL: usize = 1 << 30;
/// A batch of engine events after inflating: 50 events, each with a resource's old and new state.
pub const BODY_BYTES_EVENTS: usize = 256 << 20;
/// Secrets in one call: certificates and kubeconfigs, up to `BATCH_VALUES_MAX` of them.
pub const BODY_BYTES_SECRETS: usize = 256 << 20;

/// A body may inflate to so many times its size; states of many alike resources reach 60, deflate could do 1032.
pub const INFLATE_RATIO_MAX: usize = 200;
/// Up to this size the ratio does not matter: it is memory that anybody may use by sending as much.
pub const INFLATE_FREE_BYTES: usize = 64 << 20;
/// How deep JSON may be nested. The CLI's own decoder gives up beyond it; bodies of typed fields end at 128.
pub const JSON_DEPTH_MAX: usize = 10_000;

/// Values in one batch-encrypt or batch-decrypt. The CLI sends at most 1,000.
pub const BATCH_VALUES_MAX: usize = 10_000;
/// Characters of a value below which equal ones are no sign: many short values are the same by chance.
pub const MARKED_CHARS_MIN: usize = 12;
/// Marks of encrypted values that a stack keeps; one that is forgotten comes back when its value is encrypted again.
pub const MARKS_MAX: usize = 20_000;
/// Rows that the marks of a stack may take before they are put into one.
pub const MARK_ROWS_MAX: usize = 64;
/// Marks of all stacks that are kept in memory: about 100 bytes each.
pub const MARKS_CACHED_MAX: usize = 50_000;
/// Values in plain text that are kept with a state; a state that has more has a problem that the first ones tell.
pub const LEAKS_MAX: usize = 1000;
/// Characters of the path to a property that are told.
pub const PROPERTY_PATH_CHARS_MAX: usize = 200;
/// Jobs that may wait for the writer; one more is answered "busy, try again".
pub const WRITER_QUEUE_JOBS: usize = 1024;
/// Jobs that share one commit: bounds the answer time of the first of them.
pub const WRITER_BATCH_JOBS: usize = 256;
/// Keys of stacks that are kept open; beyond, those that no call uses are forgotten. About 2 KB each.
pub const STACK_KEYS_MAX: usize = 4096;
/// Seals of a stack's key that are counted in memory before they are written down. A crash forgets them, and the key
/// is renewed long before the difference could matter.
pub const SEALS_NOTED: u64 = 1 << 20;
/// The write-ahead log is folded back into the database when it is idle and has more pages than this: 4 MB.
pub const WAL_IDLE_PAGES: i64 = 1024;
/// The write-ahead log is folded back even under load when it is larger than this.
pub const WAL_BYTES_MAX: u64 = 128 << 20;
/// Pages of the write-ahead log that the writer folds back by itself: 8 MB, which nobody notices.
pub const WAL_FOLD_PAGES: i64 = 2048;
/// Beyond this the writer folds all of it, and lets others wait: the log would fill the disk.
pub const WAL_BYTES_HARD_MAX: u64 = 1 << 30;
/// Runs that nothing needs any more, taken away in one job: it must not hold up the others for long.
pub const COLLECT_RUNS_MAX: usize = 64;
/// A journal batch is only looked through for what it repeats of its base if that may be so much.
pub const SHARED_BYTES_MIN: usize = 16 << 10;
/// Resources of which the digests are kept in memory while updates run on them: about 120 bytes each.
pub const BASE_RESOURCES_MAX: usize = 100_000;
/// What a deployment of no resources counts among them: it has a header and a place in the list.
pub const BASE_OVERHEAD: usize = 20;
/// Bytes of last checkpoints that are kept in memory while their updates run, in all: three of 10,000 resources.
pub const LAST_TEXT_BYTES_MAX: usize = 32 << 20;
/// Rows of events on one page; a row is one batch of up to 50 events.
pub const EVENT_PAGE_ROWS: usize = 20;
/// History entries on one page, whatever the caller asks for.
pub const HISTORY_PAGE_MAX: usize = 1000;
/// Characters in the message of an update; a longer one is cut, for it is only shown.
pub const MESSAGE_CHARS_MAX: usize = 64 << 10;
/// Tags on one stack.
pub const TAGS_MAX: usize = 1000;
/// How long a lease lasts. The CLI assumes exactly this, whatever it is told.
pub const LEASE_SECS: i64 = 300;
/// How often the housekeeper looks for leases that have run out, in milliseconds.
pub const HOUSEKEEPING_MILLIS: u64 = 1000;
/// How far the clock may lie behind the newest thing in the data before `doctor` speaks of it, in seconds.
pub const CLOCK_SLACK_SECS: i64 = 60;
/// Left of a certificate when `doctor` speaks of it: what renews certificates by itself has done so before.
pub const CERTIFICATE_WARN_DAYS: i64 = 14;
/// Left of the server's own CA when it is spoken of: every machine has to be told of a new one.
pub const LOCAL_CA_WARN_DAYS: i64 = 90;
/// Old versions that are given up in one job: others wait for it.
pub const RETENTION_VERSIONS_PER_JOB: usize = 20;
/// Stacks whose old versions are given up in one round of the housekeeper.
pub const RETENTION_STACKS_PER_ROUND: usize = 50;
/// How often the housekeeper looks for old versions in all stacks, in seconds.
pub const RETENTION_SECS: u64 = 60;
/// Times that an update's end is worked out anew because the update went on meanwhile.
pub const END_ATTEMPTS_MAX: usize = 20;
/// Grants of one user: all of them are read with each call.
pub const GRANTS_MAX: usize = 1000;
/// Tokens of one user or organization.
pub const TOKENS_MAX: usize = 10_000;
/// Patterns in the scope of one token.
pub const SCOPE_PATTERNS_MAX: usize = 100;
/// A token that was not used for so long, or not from this address, signs in anew; in seconds.
pub const SIGN_IN_SECS: i64 = 3600;
/// How long a user is not told again that backups are overdue, in seconds: longer than most commands take.
pub const WARNING_SECS: i64 = 60;
/// How often the last use of a token is written, in seconds.
pub const LAST_USED_SECS: i64 = 60;
/// Addresses whose wrong tokens are counted apart; those beyond share one count.
pub const ADDRESSES_MAX: usize = 4096;
/// Denied calls of one caller that get a record of their own in a minute; the others are counted.
pub const DENIALS_PER_MINUTE: u32 = 5;
/// Callers whose denied calls are counted apart in a minute; those beyond share one count.
pub const DENIED_CALLERS_MAX: usize = 50;
/// Records of the audit log on one page.
pub const AUDIT_PAGE_ROWS: usize = 1000;
/// Trusted issuers: all that fit a token are tried.
pub const ISSUERS_MAX: usize = 100;
/// How long fetched keys of an issuer hold if it says nothing, in seconds.
pub const KEY_SET_SECS: i64 = 3600;
/// How long they hold at least, whatever the issuer says: each sign-in would ask it otherwise.
pub const KEY_SET_SECS_MIN: i64 = 60;
/// How long they hold at most: a key that the issuer took back must not live on for long.
pub const KEY_SET_SECS_MAX: i64 = 86_400;
/// For how long the last keys of an issuer that cannot be reached are believed, in seconds.
pub const KEY_SET_STALE_SECS: i64 = 86_400;
/// Between two fetches from one address, in seconds: tokens with made-up keys must not cause more.
pub const KEY_SET_PAUSE_SECS: i64 = 10;
/// How long a fetch may take in all, in seconds: who signs in waits for it.
pub const KEY_SET_FETCH_SECS: u64 = 5;
/// Bytes of a key set; those of large issuers have 10 KB.
pub const KEY_SET_BYTES_MAX: u64 = 1 << 20;
/// Calls that may wait for keys at once: each holds a worker.
pub const KEY_SET_WAITERS_MAX: usize = 3;
/// Characters of a path that the record of a denied call keeps.
pub const AUDIT_TARGET_CHARS_MAX: usize = 300;
/// Characters of what a record says of changed settings.
pub const AUDIT_DETAIL_CHARS_MAX: usize = 4000;
/// Records that are given up in one job: others wait for it.
pub const AUDIT_CUT_ROWS: i64 = 1000;
/// Records are given up once a day, in seconds: each time makes one more.
pub const AUDIT_CUT_SECS: i64 = 86_400;
/// Bytes of one export of audit records.
pub const AUDIT_EXPORT_BYTES_MAX: usize = 64 << 20;
/// Characters in the name of a token.
pub const TOKEN_NAME_CHARS_MAX: usize = 200;
/// A token that a person chose must not be short: nothing else protects it.
pub const SINGLE_TOKEN_BYTES_MIN: usize = 16;

/// How long `--master-key-command` may take, in seconds: a key service across the world answers in less.
pub const KEY_COMMAND_SECS: u64 = 30;

/// What it may print, in bytes; a key has 64, and its complaints are for a person to read.
pub const KEY_COMMAND_OUTPUT_BYTES: usize = 4096;

/// How often somebody looks whether a backup is due, and gives free pages back, in milliseconds.
pub const BACKUP_LOOK_MILLIS: u64 = 500;
/// After a backup that failed, the next attempt is made within this many seconds.
pub const BACKUP_RETRY_SECS: i64 = 600;
/// Failed attempts at a backup that are remembered: the newest.
pub const FAILED_BACKUPS_MAX: usize = 50;
/// Bytes of a copy that may wait in memory for the disk: a commit that comes meanwhile waits for them.
pub const UNSYNCED_BYTES_MAX: u64 = 1 << 20;
/// Bytes of a file that is removed, given back at once.
pub const FREED_BYTES_MAX: u64 = 8 << 20;
/// Backups that have ended and of which more is told than what is recorded: the newest.
pub const BACKUPS_ENDED_MAX: usize = 16;
/// Pages that nothing uses and that are kept for the next writes: 4 MB.
pub const FREE_PAGES_KEPT: u64 = 1024;
/// Pages given back in one job; between two jobs others have their turn.
pub const FREE_PAGES_PER_JOB: u64 = 64;
/// Jobs that give pages back in one round, so that a large deletion is worked off at 16 MB each second.
pub const FREE_PAGES_JOBS: usize = 32;

/// A file up to this size goes to a bucket in one request, in bytes.
pub const S3_SINGLE_BYTES_MAX: u64 = 64 << 20;
/// Size of the parts of a larger one.
pub const S3_PART_BYTES: u64 = 16 << 20;
/// A bucket takes 10,000 parts of one file.
pub const S3_PARTS_MAX: u64 = 10_000;
/// A body of a bucket's answer: one piece of a backup, or a page of a list.
pub const S3_BODY_BYTES_MAX: u64 = 64 << 20;
/// What is fetched from a bucket in one request.
pub const S3_PIECE_BYTES: u64 = 8 << 20;
/// Attempts of each request to a bucket: with the pauses between them they take about half a minute.
pub const S3_ATTEMPTS: u32 = 8;
/// The pause after the first failed request; each is twice as long as the one before.
pub const S3_PAUSE_MILLIS: u64 = 200;
/// The longest of these pauses.
pub const S3_PAUSE_MILLIS_MAX: u64 = 8000;
