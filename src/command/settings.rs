//! `config`: what the settings are, and where each comes from.

use std::process::ExitCode;

use serde_json::{Value, json};

use super::Invocation;
use super::stack::table;
use crate::config::table::{SETTINGS, Setting};
use crate::error::Error;

/// Every setting with its value and its origin. Values that are nobody's business are masked.
pub fn show(invocation: &Invocation) -> Result<ExitCode, Error> {
    let value = |setting: &Setting| match invocation.values.text(setting.name) {
        "" => String::new(),
        _ if setting.is_secret() => "***".into(),
        text => text.into(),
    };
    let origin = |setting: &Setting| invocation.values.origin(setting.name).to_string();
    let rows = SETTINGS
        .iter()
        .map(|setting| json!({ "name": setting.name, "value": value(setting), "origin": origin(setting) }));
    let rows: Vec<Value> = rows.collect();
    invocation.show(&json!({ "settings": rows }), || {
        let rows = SETTINGS.iter().map(|setting| vec![setting.name.into(), value(setting), origin(setting)]);
        table(&["SETTING", "VALUE", "ORIGIN"], rows)
    });
    Ok(ExitCode::SUCCESS)
}

/// Whether a server would start with them, as far as they tell by themselves.
pub fn check(invocation: &Invocation) -> Result<ExitCode, Error> {
    let config = invocation.config()?;
    invocation.show(&json!({ "status": "ok", "remarks": config.remarks }), || {
        let remarks: String = config.remarks.iter().map(|remark| format!("{remark}\n")).collect();
        format!("{remarks}the settings are good\n")
    });
    Ok(ExitCode::SUCCESS)
}
