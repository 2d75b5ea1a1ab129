//! What the program prints about itself: version, man page, unit files, a Dockerfile, a dashboard.

use std::path::Path;
use std::process::ExitCode;

use serde_json::{Value, json};

use super::{COMMANDS, Command, Invocation, help, print};
use crate::config::table::{SETTINGS, Setting};
use crate::config::{Addr, Config};
use crate::error::Error;

/// The version, and what it was made of.
pub fn version(invocation: &Invocation) -> Result<ExitCode, Error> {
    let version = env!("CARGO_PKG_VERSION");
    let features: &[&str] = if cfg!(feature = "tls") { &["tls"] } else { &[] };
    let platform = format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS);
    let body = json!({ "version": version, "platform": platform, "features": features });
    invocation.show(&body, || format!("pulumi-backend {version}\n"));
    Ok(ExitCode::SUCCESS)
}

/// The man page, as roff.
pub fn man(_: &Invocation) -> Result<ExitCode, Error> {
    let mut page = format!(
        ".TH PULUMI-BACKEND 1 \"\" \"pulumi-backend {}\"\n.SH NAME\npulumi-backend \\- a self-hosted state backend \
         for the Pulumi CLI\n.SH SYNOPSIS\n.B pulumi-backend\n[COMMAND] [ARGUMENTS] [\\-\\-SETTING VALUE]...\n\
         .SH COMMANDS\n",
        env!("CARGO_PKG_VERSION")
    );
    COMMANDS.iter().for_each(|command| page.push_str(&man_command(command)));
    page.push_str(
        ".SH SETTINGS\nEach is a flag, an environment variable with the prefix PULUMI_BACKEND_, or a line of the \
         file that \\-\\-config names. The flag counts most, then the environment, then the file.\n",
    );
    for Setting { name, value, default, help } in SETTINGS {
        let default = if default.is_empty() { String::new() } else { format!(" [{default}]") };
        page.push_str(&format!(
            ".TP\n.BI {} \" {value}\"\n{}\n",
            roff(&format!("--{name}")),
            roff(&format!("{help}{default}"))
        ));
    }
    page.push_str(&format!(".SH EXIT STATUS\n{}\n", roff(help::EXIT_CODES.trim_end())));
    page.push_str(
        ".SH FILES\n.TP\n.I pulumi-backend.db\nThe data (\\-\\-db).\n.TP\n.I pulumi-backend.key\nThe master key \
         (\\-\\-master\\-key\\-file).\n.TP\n.I pulumi-backend.db-control\nThe socket that commands use; whoever may \
         open it is the administrator.\n",
    );
    print(&page);
    Ok(ExitCode::SUCCESS)
}

fn man_command(command: &Command) -> String {
    let mut text = format!(".TP\n.B {}\n{}\n", roff(&help::usage(command)), roff(command.help));
    if !command.flags.is_empty() {
        text.push_str(".RS\n");
        for (flag, help) in command.flags {
            text.push_str(&format!(".TP\n.B {}\n{}\n", roff(flag), roff(help)));
        }
        text.push_str(".RE\n");
    }
    text
}

/// A hyphen is a minus, and a line may not begin with a command of roff.
fn roff(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-");
    let lines = text.lines().map(|line| match line.starts_with(['.', '\'']) {
        true => format!("\\&{line}"),
        false => line.to_string(),
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// A hardened unit for the system's systemd; with `--socket` its socket unit.
pub fn systemd(invocation: &Invocation) -> Result<ExitCode, Error> {
    let config = invocation.config()?;
    let text = match invocation.has("socket") {
        true => socket_unit(&config),
        false => service_unit(&config, invocation.option("credential")),
    };
    print(&text);
    Ok(ExitCode::SUCCESS)
}

fn service_unit(config: &Config, credential: Option<&str>) -> String {
    let program = std::env::current_exe().ok();
    let program = program.as_deref().and_then(Path::to_str).unwrap_or("/usr/local/bin/pulumi-backend");
    let credential = credential.map_or(String::new(), |file| format!("LoadCredential=master-key:{file}\n"));
    let only_here = match &config.addr {
        Addr::Tcp(addr) if addr.ip().is_loopback() => "IPAddressAllow=localhost\nIPAddressDeny=any\n",
        _ => "",
    };
    format!(
        "# /etc/systemd/system/pulumi-backend.service, written by: pulumi-backend systemd
# Settings go into /etc/pulumi-backend.conf, a line PULUMI_BACKEND_NAME=value for each (pulumi-backend --help lists them).
# Commands find the server with: --db /var/lib/pulumi-backend/pulumi-backend.db
[Unit]
Description=State backend for the Pulumi CLI
After=network.target

[Service]
Type=notify
ExecStart={program} serve
Environment=PULUMI_BACKEND_DB=%S/pulumi-backend/pulumi-backend.db
Environment=PULUMI_BACKEND_ADDR={}
Environment=PULUMI_BACKEND_LOG_FORMAT=journald
EnvironmentFile=-/etc/pulumi-backend.conf
{credential}WatchdogSec=60s
Restart=on-failure
TimeoutStopSec=30s
LimitNOFILE=65536

DynamicUser=yes
StateDirectory=pulumi-backend
StateDirectoryMode=0700
RuntimeDirectory=pulumi-backend
RuntimeDirectoryMode=0700
UMask=0077

{only_here}{HARDENING}
[Install]
WantedBy=multi-user.target
",
        config.addr
    )
}

const HARDENING: &str = "AmbientCapabilities=
CapabilityBoundingSet=
DevicePolicy=closed
KeyringMode=private
LockPersonality=yes
MemoryDenyWriteExecute=yes
NoNewPrivileges=yes
PrivateDevices=yes
PrivateIPC=yes
PrivateTmp=yes
PrivateUsers=yes
ProcSubset=pid
ProtectClock=yes
ProtectControlGroups=yes
ProtectHome=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
ProtectSystem=strict
RemoveIPC=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
SystemCallErrorNumber=EPERM
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
";

fn socket_unit(config: &Config) -> String {
    let stream = match &config.addr {
        Addr::Tcp(addr) => addr.to_string(),
        Addr::Unix(path) => path.display().to_string(),
    };
    format!(
        "# /etc/systemd/system/pulumi-backend.socket, written by: pulumi-backend systemd --socket
# systemd listens, and starts the server at the first connection; no connection is lost while it is restarted.
[Unit]
Description=Socket of the state backend for the Pulumi CLI

[Socket]
ListenStream={stream}
SocketMode=0660

[Install]
WantedBy=sockets.target
"
    )
}

/// A Dockerfile; with `--compose` a file for Docker Compose.
pub fn dockerfile(invocation: &Invocation) -> Result<ExitCode, Error> {
    print(if invocation.has("compose") { COMPOSE } else { DOCKERFILE });
    Ok(ExitCode::SUCCESS)
}

const DOCKERFILE: &str = r#"# Written by: pulumi-backend dockerfile. In a checkout:
#   docker build -t pulumi-backend .
#   docker run --rm -v pulumi-backend:/data pulumi-backend user add NAME --admin
#   docker run -d -v pulumi-backend:/data -p 8080:8080 pulumi-backend
# The last one needs TLS, or a proxy that does it (-e PULUMI_BACKEND_BEHIND_PROXY=true).
FROM rust:1-alpine AS build
RUN apk add --no-cache musl-dev
WORKDIR /src
COPY . .
RUN target=$(uname -m)-unknown-linux-musl \
 && cargo build --profile small --locked --bin pulumi-backend --target $target --target-dir /made \
 && cp /made/$target/small/pulumi-backend / \
 && mkdir -m 0700 /data

FROM scratch
COPY --from=build /pulumi-backend /pulumi-backend
COPY --from=build --chown=65532:65532 /data /data
USER 65532:65532
ENV PULUMI_BACKEND_DB=/data/pulumi-backend.db PULUMI_BACKEND_ADDR=0.0.0.0:8080
VOLUME /data
EXPOSE 8080
HEALTHCHECK --interval=30s --timeout=5s CMD ["/pulumi-backend", "health"]
ENTRYPOINT ["/pulumi-backend"]
"#;

const COMPOSE: &str = r#"# Written by: pulumi-backend dockerfile --compose. Beside the Dockerfile:
#   docker compose run --rm pulumi-backend user add NAME --admin
#   docker compose up -d
# A proxy on this machine does TLS; nobody else reaches the port.
services:
  pulumi-backend:
    build: .
    ports: ["127.0.0.1:8080:8080"]
    volumes: ["data:/data"]
    environment: { PULUMI_BACKEND_BEHIND_PROXY: "true" }
    read_only: true
    cap_drop: [ALL]
    security_opt: ["no-new-privileges:true"]
    restart: unless-stopped
volumes:
  data:
"#;

/// Title, unit, and the queries of a panel, each with its legend.
type Panel = (&'static str, &'static str, &'static [(&'static str, &'static str)]);

const PANELS: &[Panel] = &[
    (
        "Requests a second, by status",
        "reqps",
        &[("sum by (status) (rate(pulumi_backend_requests_total[5m]))", "{{status}}")],
    ),
    (
        "Time to answer, p50 and p99",
        "s",
        &[
            (
                "histogram_quantile(0.5, sum by (le) (rate(pulumi_backend_request_duration_seconds_bucket[5m])))",
                "p50",
            ),
            (
                "histogram_quantile(0.99, sum by (le) (rate(pulumi_backend_request_duration_seconds_bucket[5m])))",
                "p99",
            ),
        ],
    ),
    (
        "Time to answer by route, p99",
        "s",
        &[(
            "histogram_quantile(0.99, sum by (le, route) (rate(pulumi_backend_request_duration_seconds_bucket[5m])))",
            "{{route}}",
        )],
    ),
    (
        "Connections",
        "short",
        &[
            ("pulumi_backend_connections", "connected"),
            ("pulumi_backend_connections_idle", "idle"),
            ("pulumi_backend_requests_waiting", "requests waiting"),
        ],
    ),
    (
        "Commit, p50 and p99",
        "s",
        &[
            (
                "histogram_quantile(0.5, sum by (le) (rate(pulumi_backend_writer_commit_seconds_bucket[5m])))",
                "p50",
            ),
            (
                "histogram_quantile(0.99, sum by (le) (rate(pulumi_backend_writer_commit_seconds_bucket[5m])))",
                "p99",
            ),
        ],
    ),
    (
        "Jobs a commit, and jobs waiting",
        "short",
        &[
            (
                "rate(pulumi_backend_writer_batch_jobs_sum[5m]) / rate(pulumi_backend_writer_batch_jobs_count[5m])",
                "jobs a commit",
            ),
            ("pulumi_backend_writer_queue", "waiting"),
            ("increase(pulumi_backend_writer_failed_commits_total[5m])", "failed commits"),
        ],
    ),
    (
        "Updates",
        "short",
        &[
            ("pulumi_backend_leases", "updates"),
            ("pulumi_backend_previews", "previews"),
            ("pulumi_backend_leases_expired", "lease run out"),
            ("pulumi_backend_journal_entries", "journal entries"),
        ],
    ),
    (
        "Data",
        "bytes",
        &[
            ("pulumi_backend_database_bytes", "database"),
            ("pulumi_backend_wal_bytes", "write-ahead log"),
            ("pulumi_backend_disk_free_bytes", "free"),
        ],
    ),
    (
        "Stacks and versions",
        "short",
        &[("pulumi_backend_stacks", "stacks"), ("pulumi_backend_versions", "versions")],
    ),
    (
        "Process",
        "short",
        &[
            ("process_resident_memory_bytes / 1e6", "memory, MB"),
            ("rate(process_cpu_seconds_total[5m]) * 100", "processor, %"),
            ("process_open_fds", "file descriptors"),
        ],
    ),
];

/// A dashboard for Grafana, over the figures of `/metrics`.
pub fn dashboard(_: &Invocation) -> Result<ExitCode, Error> {
    let panels = PANELS.iter().enumerate().map(|(index, panel)| grafana_panel(index, panel));
    let dashboard = json!({
        "title": "pulumi-backend",
        "uid": "pulumi-backend",
        "schemaVersion": 39,
        "refresh": "30s",
        "time": { "from": "now-6h", "to": "now" },
        "templating": { "list": [{ "name": "datasource", "type": "datasource", "query": "prometheus" }] },
        "panels": panels.collect::<Vec<_>>(),
    });
    print(&format!("{dashboard:#}\n"));
    Ok(ExitCode::SUCCESS)
}

fn grafana_panel(index: usize, (title, unit, queries): &Panel) -> Value {
    let targets = queries.iter().zip('A'..).map(
        |((query, legend), id)| json!({ "refId": id.to_string(), "expr": query, "legendFormat": legend }),
    );
    json!({
        "id": index + 1,
        "type": "timeseries",
        "title": title,
        "datasource": { "type": "prometheus", "uid": "${datasource}" },
        "gridPos": { "x": index % 2 * 12, "y": index / 2 * 8, "w": 12, "h": 8 },
        "fieldConfig": { "defaults": { "unit": unit }, "overrides": [] },
        "targets": targets.collect::<Vec<_>>(),
    })
}
