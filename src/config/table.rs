//! Every setting, in one table: parser, `--help`, `config show` and README are made from it.

/// One setting: as flag `--name`, as environment variable `PULUMI_BACKEND_NAME`, as line of the `--config` file.
pub struct Setting {
    /// As in `--name`.
    pub name: &'static str,
    /// What stands for the value in the help; a switch, which may stand alone, has `true|false`.
    pub value: &'static str,
    /// What holds if nobody sets it.
    pub default: &'static str,
    /// One sentence.
    pub help: &'static str,
}

/// What the value of a setting looks like that may be given without one.
pub const SWITCH: &str = "true|false";

/// What the value of a setting looks like that is never shown.
pub const SECRET: &str = "SECRET";

impl Setting {
    /// Whether its value must not be shown.
    pub fn is_secret(&self) -> bool {
        self.value == SECRET
    }

    /// Whether the flag may stand alone, for `true`.
    pub fn is_switch(&self) -> bool {
        self.value == SWITCH
    }
}

/// Other names for settings: as other backends have them.
pub const ALIASES: &[(&str, &str)] = &[("cert", "tls-cert"), ("key", "tls-key")];

/// Every setting there is.
#[rustfmt::skip]
pub const SETTINGS: &[Setting] = &[
    Setting { name: "addr", value: "HOST:PORT", default: "127.0.0.1:8080", help: "Where to listen; unix:/PATH for a socket in the file system" },
    Setting { name: "db", value: "FILE", default: "pulumi-backend.db", help: "The database; made if there is none" },
    Setting { name: "master-key", value: SECRET, default: "", help: "The key that wraps all others, 64 hex digits or base64; better from the environment or a file, for process lists show flags" },
    Setting { name: "master-key-file", value: "FILE", default: "", help: "A file with it, which only its owner may read; default: systemd's credential `master-key`, or beside the database, with .key for .db, made with it" },
    Setting { name: "master-key-command", value: "COMMAND", default: "", help: "A program that prints it, as a vault or a key service has one; run by sh" },
    Setting { name: "org", value: "NAME", default: "organization", help: "The organization, and the default one of new stacks" },
    Setting { name: "user", value: "NAME", default: "admin", help: "Without users: the user that every token stands for, and the name of the personal organization" },
    Setting { name: "single-tenant-token", value: SECRET, default: "", help: "One token for all, instead of users; better from the environment: it is the user `--user`, an administrator of `--org`" },
    Setting { name: "behind-proxy", value: SWITCH, default: "false", help: "A proxy in front of this server does TLS, so that it may listen beyond loopback without" },
    Setting { name: "trusted-proxies", value: "LIST", default: "", help: "With --behind-proxy: addresses and networks (10.0.0.0/8) of the proxies that say for whom they call, with commas, and unix for a socket; default: those on this machine" },
    Setting { name: "tls", value: SWITCH, default: "", help: "Whether to speak TLS; by default, if there is a certificate" },
    Setting { name: "tls-cert", value: "FILE", default: "", help: "The certificate and its chain, PEM; read again when it changes. Also --cert" },
    Setting { name: "tls-key", value: "FILE", default: "", help: "The key of that certificate, PEM. Also --key" },
    Setting { name: "tls-local-ca", value: "NAMES", default: "", help: "Instead of files: a CA of its own, beside the database, and a certificate for these host names and addresses, with commas; localhost always" },
    Setting { name: "max-connections", value: "N", default: "1024", help: "Connections in all; half of them for one address" },
    Setting { name: "max-body-size", value: "BYTES", default: "1073741824", help: "The largest state, journal or other body, as it is sent and inflated" },
    Setting { name: "body-memory", value: "BYTES", default: "268435456", help: "Memory for bodies in flight, as they are sent, in all; a larger body is refused" },
    Setting { name: "requests-per-second-per-address", value: "N", default: "0", help: "Requests beyond are told to come again; 0: any number" },
    Setting { name: "wrong-tokens", value: "N", default: "30", help: "Wrong tokens of one address in a minute; those beyond are answered 429" },
    Setting { name: "issuer-ca-file", value: "FILE", default: "", help: "Certificates, in PEM, that issuers are checked against whose keys are fetched (issuer add --jwks-url); default: those of the system" },
    Setting { name: "lease-duration", value: "SECONDS", default: "300", help: "How long a silent CLI keeps the lock of its update; the CLI counts on 300" },
    Setting { name: "delta-checkpoints", value: "auto|on|off", default: "auto", help: "Whether CLIs may send state as text differences; auto: those before 3.225, which do not journal" },
    Setting { name: "delta-cutoff", value: "BYTES", default: "1048576", help: "States smaller than this are sent whole" },
    Setting { name: "history-page-size", value: "N", default: "1000", help: "Entries of `stack history` in one answer at the most" },
    Setting { name: "stack-list-page-size", value: "N", default: "100", help: "Stacks of `stack ls` in one answer" },
    Setting { name: "cache-size", value: "BYTES", default: "33554432", help: "Memory for exports that are kept as they were sent; 0 keeps none" },
    Setting { name: "max-state-versions", value: "N", default: "0", help: "Versions of its state that a stack keeps; 0 keeps all, and the latest is always kept" },
    Setting { name: "plaintext-guard", value: "off|warn|block", default: "warn", help: "Whether states are looked through for values in plain text that were encrypted for the stack or look like credentials; block: imports that bring such are refused" },
    Setting { name: "event-keep-days", value: "N", default: "0", help: "Days that the engine events of an update are kept after its end; 0 keeps them" },
    Setting { name: "preview-keep-days", value: "N", default: "0", help: "Days that previews are kept; 0 keeps them" },
    Setting { name: "audit-keep-days", value: "N", default: "0", help: "Days that audit records are kept, and up to a day more; 0 keeps them; that some were given up is a record itself" },
    Setting { name: "event-buffer-size", value: "N", default: "", help: "Taken from other backends' settings, without effect: events are never held back in memory" },
    Setting { name: "event-flush-interval", value: "TIME", default: "", help: "Taken from other backends' settings, without effect: events are on disk when their call is answered" },
    Setting { name: "workers", value: "N", default: "8", help: "Requests that are worked on at once" },
    Setting { name: "backup-dir", value: "DIR|s3://BUCKET", default: "", help: "Where backups go; an address as the CLI writes it, s3://bucket/prefix?endpoint=…&region=…&s3ForcePathStyle=true" },
    Setting { name: "backup-every", value: "TIME", default: "", help: "How often a backup is made, as 30m, 6h or 1d, or at the times of a cron line in UTC, as '0 3 * * *'; never without it" },
    Setting { name: "backup-keep", value: "N", default: "0", help: "Backups that are kept, the newest; 0 keeps all; the newest that was found whole always stays" },
    Setting { name: "backup-keep-days", value: "N", default: "0", help: "Backups that are older are deleted; 0 keeps all; the newest that was found whole always stays" },
    Setting { name: "backup-warn-after", value: "TIME", default: "", help: "The CLI warns when the last backup that was found whole is older, as 2d; never without it" },
    Setting { name: "s3-credentials-file", value: "FILE", default: "", help: "Lines aws_access_key_id=…, aws_secret_access_key=… and maybe aws_session_token=…; without it, AWS_ACCESS_KEY_ID and so on of the environment" },
    Setting { name: "s3-credentials-command", value: "COMMAND", default: "", help: "A program that prints such lines; run by sh, for each backup anew" },
    Setting { name: "s3-ca-file", value: "FILE", default: "", help: "Certificates, in PEM, that the bucket's server is checked against; default: those of the system" },
    Setting { name: "log-level", value: "LEVEL", default: "info", help: "error, warn, info or debug" },
    Setting { name: "log-format", value: "text|json|journald", default: "text", help: "How a log line looks; journald: with the priority in front, as <6>" },
    Setting { name: "log-requests", value: SWITCH, default: "false", help: "A line for each request at level info; otherwise at level debug" },
    Setting { name: "management-addr", value: "HOST:PORT", default: "", help: "Answer /healthz, /readyz and /metrics, and nothing else, here too, without a token" },
    Setting { name: "disk-free-min", value: "BYTES", default: "67108864", help: "With less space for the data, /readyz answers 503" },
    Setting { name: "config", value: "FILE", default: "", help: "A file of settings, a line NAME=value for each, as systemd's EnvironmentFile has them" },
];
