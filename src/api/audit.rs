//! The audit record: read, exported, verified.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::app::App;
use crate::call::{self, Call};
use crate::clock::date_time;
use crate::crypto::{hex, unhex};
use crate::error::Error;
use crate::http::{Body, Response};
use crate::limits;
use crate::store;
use crate::store::audit::chain::{Chain, Walked};
use crate::store::audit::{Filter, Record, Who};

/// A record as it goes out and, to be verified, comes in again.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RecordBody {
    sequence: i64,
    timestamp: i64,
    user: String,
    token: String,
    #[serde(rename = "tokenID")]
    token_id: String,
    address: String,
    action: String,
    organization: String,
    target: String,
    result: String,
    detail: String,
    #[serde(rename = "requestID")]
    request_id: String,
    hash: String,
    seal: String,
}

fn body(record: Record) -> RecordBody {
    let Record { sequence, who, action, org, target, result, detail, hash, seal } = record;
    RecordBody {
        sequence,
        timestamp: who.at_unix,
        user: who.actor,
        token: who.token,
        token_id: who.token_uid,
        address: who.address,
        action,
        organization: org,
        target,
        result,
        detail,
        request_id: who.request_id,
        hash: hex(&hash),
        seal: hex(&seal),
    }
}

fn record(body: RecordBody) -> Record {
    Record {
        sequence: body.sequence,
        who: Who {
            at_unix: body.timestamp,
            actor: body.user,
            token: body.token,
            token_uid: body.token_id,
            address: body.address,
            request_id: body.request_id,
        },
        action: body.action,
        org: body.organization,
        target: body.target,
        result: body.result,
        detail: body.detail,
        hash: unhex(&body.hash).unwrap_or_default(),
        seal: unhex(&body.seal).unwrap_or_default(),
    }
}

/// `?since=&until=&user=&stack=&action=`, the times in seconds since 1970.
fn filter(call: &Call) -> Result<Filter, Error> {
    let time = |name| Ok::<_, Error>(call.query_number(name, 0)?.map(|at| at as i64));
    Ok(Filter {
        org: call.query("organization"),
        actor: call.query("user"),
        action: call.query("action"),
        target: call.query("stack"),
        from_unix: time("since")?,
        until_unix: time("until")?,
    })
}

/// Records, oldest first, after number `after`; `next` is the number to go on after, null at the end.
pub fn list(app: &App, call: &mut Call) -> Result<Response, Error> {
    let filter = filter(call)?;
    let after = call.query_number("after", 0)?.unwrap_or(0) as i64;
    let n_max = limits::AUDIT_PAGE_ROWS;
    let records = app.store.read(|conn| store::audit::list(conn, &filter, Some(after), false, n_max))?;
    let next = records.last().filter(|_| records.len() == n_max).map(|record| record.sequence);
    let records: Vec<RecordBody> = records.into_iter().map(body).collect();
    Response::json(&json!({ "records": records, "next": next }))
}

/// As CSV or CEF: `?format=csv|cef`.
pub fn export(app: &App, call: &mut Call) -> Result<Response, Error> {
    export_filtered(app, call, &filter(call)?)
}

/// The vendor's filters: `startTime` is the upper end of the time range.
fn vendor_filter(call: &Call) -> Result<Filter, Error> {
    let user = call.query("user").or_else(|| call.query("userFilter"));
    let action = call.query("eventType").or_else(|| call.query("eventFilter"));
    let until_unix = call.query_number("startTime", 0)?.map(|at| at as i64);
    let org = Some(call.parameter(0).to_string());
    Ok(Filter { org, actor: user, action, until_unix, ..Filter::default() })
}

/// Records of an organization as the CLI shows them, newest first.
///
/// Source: apitype/audit_logs.go, `ListAuditLogEventsResponse`.
pub fn list_of_org(app: &App, call: &mut Call) -> Result<Response, Error> {
    let filter = vendor_filter(call)?;
    let before = call.query_number("continuationToken", 1)?.map(|token| token as i64);
    let n_max = limits::AUDIT_PAGE_ROWS;
    let records = app.store.read(|conn| store::audit::list(conn, &filter, before, true, n_max))?;
    let token = records.last().filter(|_| records.len() == n_max).map(|record| record.sequence.to_string());
    let events: Vec<Value> = records.iter().map(vendor_event).collect();
    Response::json(&json!({ "auditLogEvents": events, "continuationToken": token.unwrap_or_default() }))
}

fn vendor_event(record: &Record) -> Value {
    let Record { who, action, target, result, detail, .. } = record;
    let description = format!("{action} {target}: {result} {detail}");
    json!({
        "timestamp": who.at_unix, "event": action, "description": description.trim_end(),
        "user": { "name": who.actor, "githubLogin": who.actor, "avatarUrl": "" },
        "sourceIP": who.address, "tokenID": who.token_uid, "tokenName": who.token,
        "authFailure": action == store::audit::DENIED,
    })
}

/// As `export`, for an organization.
pub fn export_of_org(app: &App, call: &mut Call) -> Result<Response, Error> {
    export_filtered(app, call, &vendor_filter(call)?)
}

fn export_filtered(app: &App, call: &Call, filter: &Filter) -> Result<Response, Error> {
    let format = call.query("format").unwrap_or("csv".into());
    let (mut text, line): (String, fn(&Record) -> String) = match format.as_str() {
        "csv" => (CSV_HEAD.into(), csv_line),
        "cef" => (String::new(), cef_line),
        other => return Err(Error::invalid("format", format!("'{other}' is not csv or cef"))),
    };
    app.store.read(|conn| {
        let mut after = 0;
        loop {
            let records = store::audit::list(conn, filter, Some(after), false, limits::AUDIT_PAGE_ROWS)?;
            records.iter().for_each(|record| text.push_str(&line(record)));
            if text.len() > limits::AUDIT_EXPORT_BYTES_MAX {
                return Err(Error::invalid("", "this is too much for one answer; ask for a shorter time"));
            }
            match records.last() {
                Some(last) if records.len() == limits::AUDIT_PAGE_ROWS => after = last.sequence,
                _ => return Ok(()),
            }
        }
    })?;
    Ok(Response::of(200, Body::Text(text)))
}

const CSV_HEAD: &str = "sequence,time,user,token,tokenID,address,action,organization,target,result,detail,\
                        requestID,hash\r\n";

fn csv_line(record: &Record) -> String {
    let Record { sequence, who, action, org, target, result, detail, hash, .. } = record;
    let texts = [&who.actor, &who.token, &who.token_uid, &who.address, action, org, target, result, detail];
    let cells: Vec<String> = texts.iter().map(|text| csv_cell(text)).collect();
    let time = date_time(who.at_unix);
    let request_id = csv_cell(&who.request_id);
    format!("{sequence},{time}Z,{},{request_id},{}\r\n", cells.join(","), hex(hash))
}

/// Quoted; what a spreadsheet would take for a formula begins with an apostrophe.
fn csv_cell(text: &str) -> String {
    let is_formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    format!("\"{}{}\"", if is_formula { "'" } else { "" }, text.replace('"', "\"\""))
}

/// A line in the Common Event Format, for collectors of security events.
fn cef_line(record: &Record) -> String {
    let Record { sequence, who, action, org, target, result, detail, hash, .. } = record;
    let severity = if action == store::audit::DENIED { 6 } else { 3 };
    let fields = [
        ("rt", (who.at_unix * 1000).to_string()),
        ("suser", who.actor.clone()),
        ("src", who.address.clone()),
        ("act", action.clone()),
        ("outcome", result.clone()),
        ("externalId", sequence.to_string()),
        ("msg", detail.clone()),
        ("cs1Label", "target".into()),
        ("cs1", target.clone()),
        ("cs2Label", "organization".into()),
        ("cs2", org.clone()),
        ("cs3Label", "token".into()),
        ("cs3", format!("{} {}", who.token_uid, who.token).trim().to_string()),
        ("cs4Label", "requestID".into()),
        ("cs4", who.request_id.clone()),
        ("cs5Label", "hash".into()),
        ("cs5", hex(hash)),
    ];
    let fields: Vec<String> =
        fields.iter().map(|(name, value)| format!("{name}={}", cef_value(value))).collect();
    let version = env!("CARGO_PKG_VERSION");
    format!(
        "CEF:0|pulumi-backend|pulumi-backend|{version}|{action}|{action}|{severity}|{}\n",
        fields.join(" ")
    )
}

fn cef_value(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('=', "\\=");
    escaped.replace('\r', "\\r").replace('\n', "\\n")
}

/// Number and hash of the last record, to be kept elsewhere: it proves that the record is whole up to here.
pub fn head(app: &App, _: &mut Call) -> Result<Response, Error> {
    let head = app.store.read(store::audit::find_head)?;
    let (sequence, hash) = head.unwrap_or_default();
    Response::json(&json!({ "sequence": sequence, "hash": hex(&hash) }))
}

/// Records as they were exported, in order.
#[derive(Deserialize, Default)]
struct VerifyRequest {
    /// None: the records of this server.
    #[serde(default)]
    records: Option<Vec<RecordBody>>,
}

/// Follows the chain of the records that are sent, or of the server's own, and looks at their seals.
///
/// `?head=NUMBER:HASH`: that record must be among them, and be the same. A finding is a 200 with `problem`.
pub fn verify(app: &App, call: &mut Call) -> Result<Response, Error> {
    let text = call.text()?;
    let request: VerifyRequest =
        if text.trim().is_empty() { VerifyRequest::default() } else { call::parse_object(&text)? };
    let known = call.query("head").map(|text| parse_head(&text)).transpose()?;
    let chain = || Chain::new(Some(app.audit_key.clone()), known.clone());
    let walked = match request.records {
        Some(records) => walk_along(chain(), records),
        None => store::audit::walk(&app.store, chain)?,
    };
    Response::json(&shown(&walked, None))
}

/// Checks an export against a head that was kept elsewhere: anywhere, without the server and without a key.
///
/// Answers as `verify`; `vouchedTo` is the number of the last record that the head vouches for.
pub fn verify_export(text: &str, head: &str) -> Result<Value, Error> {
    let request: VerifyRequest = call::parse_object(text)?;
    let known = parse_head(head)?;
    let vouched_to = known.0;
    let walked = walk_along(Chain::new(None, Some(known)), request.records.unwrap_or_default());
    Ok(shown(&walked, Some(vouched_to)))
}

fn walk_along(mut chain: Chain, records: Vec<RecordBody>) -> Walked {
    records.into_iter().for_each(|body| chain.take(record(body)));
    chain.end()
}

fn shown(walked: &Walked, vouched_to: Option<i64>) -> Value {
    let head =
        walked.head.as_ref().map(|(sequence, hash)| json!({ "sequence": sequence, "hash": hex(hash) }));
    json!({
        "isWhole": walked.problem.is_none(), "records": walked.n_records, "problem": walked.problem, "head": head,
        "first": walked.first, "isFromStart": walked.is_from_start, "vouchedTo": vouched_to,
    })
}

/// `NUMBER:HASH`, as `audit head` prints it.
fn parse_head(text: &str) -> Result<(i64, Vec<u8>), Error> {
    store::audit::parse_place(text)
        .ok_or_else(|| Error::invalid("head", format!("'{text}' is not NUMBER:HASH")))
}
