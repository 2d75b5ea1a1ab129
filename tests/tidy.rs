//! The rules of this repository that a program can check: format, layout, arrows, headers, and that README and
//! vendor-notes say what the code says. `UPDATE_GOLDEN=1 cargo test --test tidy` rewrites what is generated.
//!
//! A rule that must give way somewhere has a table with a reason for each place; a table row that is no longer
//! needed fails too, so that the tables only shrink.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use pulumi_backend::config::table::SETTINGS;
use pulumi_backend::routes::table::ROUTES;

/// The modules in reading order. A file may use what stands in a row below its own, and its own module.
const ORDER: &[&[&str]] = &[
    &["command"],
    &["server"],
    &["gate", "routes"],
    &["api", "console", "ops"],
    &["state"],
    &["app", "call", "program"],
    &["store", "outbound", "recent", "cache"],
    &["crypto", "http"],
    &["config"],
    &["observe"],
    &["clock"],
    &["domain"],
    &["limits"],
    &["memory"],
    &["error"],
];

/// Arrows that would be allowed by the order, but that nobody may draw: user, used, why.
const NEVER: &[(&str, &str, &str)] = &[
    ("gate", "store", "the gate knows bytes and clocks"),
    ("gate", "domain", "the gate has never heard of a stack"),
    ("gate", "http", "whole requests go to http over a socket, not through its types"),
    ("http", "domain", "http has never heard of a stack"),
    ("crypto", "domain", "keys do not know what they seal"),
    ("observe", "domain", "a log line is text"),
];

/// Words that belong to one place: word, where it may stand, why.
const PLACES: &[(&str, &[&str], &str)] = &[
    ("rusqlite", &["src/store/"], "SQLite is reached through typed jobs and queries only"),
    ("tiny_http", &["src/http/"], "the engine's types stay behind Request and Response"),
    ("SELECT ", &["src/store/"], "the only SQL is in store"),
    ("INSERT INTO ", &["src/store/"], "the only SQL is in store"),
    ("DELETE FROM ", &["src/store/"], "the only SQL is in store"),
    ("aes_gcm", &["src/crypto/"], "only the keyring seals and opens"),
    ("getrandom", &["src/crypto/"], "random values come from crypto::random_bytes"),
    ("SystemTime", &["src/clock.rs"], "the time of day is passed in"),
    ("simple_logger", &["src/observe.rs"], "it panics on a closed pipe; observe guards it"),
    ("lexopt", &["src/config/given.rs"], "arguments are read once, at the start"),
    // The private folder asks systemd's RUNTIME_DIRECTORY and the system's folder for temporary files; neither is a setting.
    // The listener may be handed over by systemd, which says so in the environment.
    (
        "std::env::",
        &["src/command/", "src/server/folder.rs", "src/server/listen.rs"],
        "the environment is read once, and passed on",
    ),
    ("TODO", &[], "a wish belongs in an issue, a condition in a comment"),
    ("FIXME", &[], "a known fault is mended or reported"),
    ("dbg!", &[], "left over from a search"),
    ("todo!", &[], "a stub is not done"),
    ("unimplemented!", &[], "a stub is not done"),
    ("print!", &[], "lines go through log, or through a writer whose failure is handled"),
    ("println!", &[], "it panics on a closed pipe"),
    ("eprint!", &[], "it panics on a closed pipe"),
    ("eprintln!", &[], "it panics on a closed pipe"),
];

/// Lines that a file of src may have.
const FILE_LINES_MAX: usize = 500;

/// Files that may have more: path, lines, why.
const LONG_FILES: &[(&str, usize, &str)] =
    &[("src/domain/json.rs", 530, "one scanner; its parts have no use apart")];

/// `//!` lines that a file may open with, empty ones not counted: one to about five.
const HEADER_LINES_MAX: usize = 6;

/// Files whose header may be longer: path, why.
const LONG_HEADERS: &[(&str, &str)] =
    &[("src/lib.rs", "it is the map"), ("src/gate/mod.rs", "with the picture of the gate's threads")];

#[test]
fn the_format_is_that_of_cargo_fmt() {
    let cargo = std::env::var("CARGO").unwrap_or("cargo".into());
    let run = Command::new(cargo).args(["fmt", "--check"]).output().expect("run cargo fmt");
    let (out, err) = (String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    assert!(
        run.status.success(),
        "cargo fmt --check failed (no rustfmt: rustup component add rustfmt):\n{out}{err}"
    );
}

#[test]
fn arrows_point_one_way() {
    let mut wrong = Vec::new();
    for file in sources("src") {
        let Some(user) = module_of(&file.path) else { continue };
        for (n_line, used) in used_modules(&file) {
            if let Some(why) = why_not(&user, &used) {
                wrong.push(format!("{}:{n_line}: {user} → {used}: {why}", file.path));
            }
        }
    }
    none(&wrong);
}

/// Why `user` may not use `used`, if so.
fn why_not(user: &str, used: &str) -> Option<String> {
    if user == used {
        return None;
    }
    let rank = |name: &str| ORDER.iter().position(|row| row.contains(&name));
    let (Some(from), Some(to)) = (rank(user), rank(used)) else {
        return Some("one of them has no place in ORDER".into());
    };
    if from >= to {
        return Some("it stands above, or beside".into());
    }
    let never = NEVER.iter().find(|(a, b, _)| (*a, *b) == (user, used));
    never.map(|(_, _, why)| why.to_string())
}

/// The top-level module that a file belongs to; none for the crate's own two files.
fn module_of(path: &str) -> Option<String> {
    let inside = path.strip_prefix("src/")?;
    let name = inside.split('/').next()?.trim_end_matches(".rs");
    (!matches!(name, "lib" | "main")).then(|| name.to_string())
}

/// Every `crate::x` of the code with its line, `use crate::{x, y::z}` included.
fn used_modules(file: &Source) -> Vec<(usize, String)> {
    let code = file.code();
    let mut found = Vec::new();
    for (at, prefix) in code.match_indices("crate::") {
        let is_part_of_name = code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '$');
        let n_line = code[..at].matches('\n').count() + 1;
        let after = &code[at + prefix.len()..];
        if is_part_of_name {
            continue;
        }
        match after.strip_prefix('{') {
            Some(group) => found.extend(group_names(group).into_iter().map(|name| (n_line, name))),
            None => found.push((n_line, identifier(after))),
        }
    }
    found
}

fn identifier(text: &str) -> String {
    text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

/// The first names in `a::b, c::{d, e}, f}…`, up to the brace that closes the group.
fn group_names(group: &str) -> Vec<String> {
    let mut names = Vec::new();
    let (mut depth, mut is_start) = (1, true);
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 1 => is_start = true,
            c if is_start && c.is_alphabetic() => {
                names.push(identifier(&group[at..]));
                is_start = false;
            }
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    names
}

#[test]
fn groups_of_uses_are_taken_apart() {
    let names = |text: &str| {
        let file = Source { path: "src/x.rs".into(), text: text.into() };
        used_modules(&file).into_iter().map(|(_, name)| name).collect::<Vec<_>>()
    };
    assert_eq!(names("use crate::{error::Error, http::{self, Body}, limits};"), ["error", "http", "limits"]);
    assert_eq!(names("crate::store::Store; // crate::api"), ["store"]);
    assert!(names("pub(crate) fn f() { my_crate::g() }").is_empty());
}

#[test]
fn modules_are_named_from_the_crate() {
    let mut wrong = Vec::new();
    for file in sources("src") {
        let is_at_the_top = file.path.matches('/').count() == 1;
        for (n_line, line) in lines(&file.code()) {
            if line.contains("super::super::") || (is_at_the_top && line.contains("super::")) {
                wrong.push(format!("{}:{n_line}: write crate::", file.path));
            }
        }
    }
    none(&wrong);
}

#[test]
fn words_stand_where_they_belong() {
    let mut wrong = Vec::new();
    for file in sources("src") {
        let code = file.code();
        for (word, places, why) in PLACES {
            let is_for_comments = matches!(*word, "TODO" | "FIXME");
            let text = if is_for_comments { &file.text } else { &code };
            if places.iter().any(|place| file.path.starts_with(place)) {
                continue;
            }
            let hits = lines(text).filter(|(_, line)| has_word(line, word));
            wrong.extend(hits.map(|(n_line, _)| format!("{}:{n_line}: {word}: {why}", file.path)));
        }
    }
    none(&wrong);
}

/// Whether `word` stands in `line`, and not as the end of a longer name.
fn has_word(line: &str, word: &str) -> bool {
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| !line[..at].ends_with(is_name))
}

#[test]
fn unsafe_code_says_why() {
    let mut wrong = Vec::new();
    for file in sources("src") {
        for (n_line, line) in lines(&file.text) {
            let is_allowed = line.contains("allow(unsafe_code)");
            let above = file.text.lines().nth(n_line.wrapping_sub(2)).unwrap_or("").trim_start();
            if is_allowed && !line.contains("//") && !above.starts_with("//") {
                wrong.push(format!("{}:{n_line}: unsafe code is allowed without a reason", file.path));
            }
        }
    }
    none(&wrong);
}

#[test]
fn files_open_with_a_short_header() {
    let mut wrong = Vec::new();
    for file in sources("src").into_iter().chain(sources("tests")) {
        let n_lines = header_lines(&file.text);
        let may_be_long = LONG_HEADERS.iter().any(|(path, _)| *path == file.path);
        if n_lines == 0 {
            wrong.push(format!("{}: no //! header", file.path));
        } else if n_lines > HEADER_LINES_MAX && !may_be_long && file.path.starts_with("src/") {
            wrong.push(format!("{}: a header of {n_lines} lines, not 1 to {HEADER_LINES_MAX}", file.path));
        }
    }
    for (path, _) in LONG_HEADERS {
        if header_lines(&read(path)) <= HEADER_LINES_MAX {
            wrong.push(format!("{path}: needs no place in LONG_HEADERS any more"));
        }
    }
    none(&wrong);
}

fn header_lines(text: &str) -> usize {
    text.lines().take_while(|line| line.starts_with("//!")).filter(|line| *line != "//!").count()
}

#[test]
fn files_have_names_that_say_something() {
    let empty_words = ["util", "utils", "helper", "helpers", "common", "manager", "misc"];
    let files = sources("src").into_iter().chain(sources("tests"));
    let wrong = files.filter(|file| {
        let mut parts = file.path.trim_end_matches(".rs").split(['/', '_']);
        parts.any(|part| empty_words.contains(&part))
    });
    none(&wrong.map(|file| file.path).collect::<Vec<_>>());
}

#[test]
fn files_are_short_enough_to_read() {
    let mut wrong = Vec::new();
    let files = sources("src");
    for file in &files {
        let n_lines = file.text.lines().count();
        let may_have = LONG_FILES.iter().find(|(path, ..)| *path == file.path);
        let n_lines_max = may_have.map_or(FILE_LINES_MAX, |(_, n_lines_max, _)| *n_lines_max);
        if n_lines > n_lines_max {
            wrong.push(format!("{}: {n_lines} lines, not up to {n_lines_max}", file.path));
        }
        if may_have.is_some() && n_lines <= FILE_LINES_MAX {
            wrong.push(format!("{}: needs no place in LONG_FILES any more", file.path));
        }
    }
    let is_there = |path: &str| files.iter().any(|file| file.path == path);
    wrong.extend(LONG_FILES.iter().filter(|row| !is_there(row.0)).map(|row| format!("{}: is gone", row.0)));
    none(&wrong);
}

#[test]
fn every_ceiling_is_used() {
    let limits = read("src/limits.rs");
    let names = limits.lines().filter_map(|line| Some(identifier(line.strip_prefix("pub const ")?)));
    let rest: String =
        sources("src").iter().filter(|file| file.path != "src/limits.rs").map(Source::code).collect();
    let unused =
        names.filter(|name| !rest.split(|c: char| !c.is_alphanumeric() && c != '_').any(|w| w == name));
    none(&unused.map(|name| format!("src/limits.rs: {name} is used nowhere")).collect::<Vec<_>>());
}

/// The file of tests that goes with a route's handler, `tests/server/api/stack.rs` for `stack::get`, names the
/// route: by its name, or by the fixed end of its path in a call.
#[test]
fn every_route_has_a_test_that_names_it() {
    let rows = route_rows(&read("src/routes/table.rs"));
    assert_eq!(rows.len(), ROUTES.len(), "each row of the table is read");
    let wrong = rows.iter().filter_map(|[name, pattern, group]| {
        let path = format!("tests/server/api/{group}.rs");
        let Ok(text) = fs::read_to_string(root().join(&path)) else {
            return Some(format!("{name}: there is no {path}"));
        };
        let fixed_end = pattern.rsplit('}').next().unwrap_or("");
        let is_named = has_whole(&text, name) || (!fixed_end.is_empty() && has_whole(&text, fixed_end));
        (!is_named).then(|| format!("{name}: {path} does not name it"))
    });
    none(&wrong.collect::<Vec<_>>());
}

/// Name, pattern and the handler's module of each row ``route("getStack", Get, "/api/…", …, stack::get),``.
fn route_rows(table: &str) -> Vec<[String; 3]> {
    let rows = table.lines().filter_map(|line| {
        let row = line.trim().strip_prefix("route(\"")?.strip_suffix("),")?;
        let mut quoted = row.split('"');
        let (name, pattern) = (quoted.next()?, quoted.nth(1)?);
        let (module, _) = row.rsplit_once(", ")?.1.split_once("::")?;
        Some([name, pattern, module].map(String::from))
    });
    rows.collect()
}

/// Whether `part` stands in `text`, and not as the beginning or the end of something longer.
fn has_whole(text: &str, part: &str) -> bool {
    let goes_on = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(part).any(|(at, _)| {
        let after = &text[at + part.len()..];
        !text[..at].ends_with(goes_on) && !after.starts_with(goes_on) && !after.starts_with('/')
    })
}

/// The map in lib.rs: a line ``//! - `name`: …`` for each module, in the order of `ORDER`.
#[test]
fn the_map_of_the_modules_is_complete_and_in_order() {
    let text = read("src/lib.rs");
    let mapped: Vec<&str> =
        text.lines().filter_map(|line| line.strip_prefix("//! - `")?.split('`').next()).collect();
    let declared: BTreeSet<&str> =
        text.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';')).collect();
    let expected: Vec<&str> =
        ORDER.iter().flat_map(|row| row.iter().copied()).filter(|name| declared.contains(name)).collect();
    assert_eq!(mapped, expected, "the map in src/lib.rs, against its modules in the order of ORDER");
    assert_eq!(declared.len(), expected.len(), "a module has no place in ORDER: {declared:?}");
}

const SETTINGS_START: &str =
    "<!-- settings: from src/config/table.rs, written by `UPDATE_GOLDEN=1 cargo test --test tidy` -->";
const SETTINGS_END: &str = "<!-- end of settings -->";

#[test]
fn the_readme_lists_every_setting() {
    let readme = read("README.md");
    let (before, rest) =
        readme.split_once(SETTINGS_START).expect("README.md has the start mark of the settings");
    let (found, after) = rest.split_once(SETTINGS_END).expect("README.md has the end mark of the settings");
    let expected = format!("\n{}", settings_table());
    if found != expected && std::env::var("UPDATE_GOLDEN").is_ok_and(|value| value == "1") {
        let text = format!("{before}{SETTINGS_START}{expected}{SETTINGS_END}{after}");
        fs::write(root().join("README.md"), text).expect("write README.md");
        return;
    }
    let is_same = found == expected;
    assert!(is_same, "the settings in README.md are{found}\nnot{expected}\nUPDATE_GOLDEN=1 writes them anew");
}

fn settings_table() -> String {
    let mut table = String::from("| setting | default | what it is |\n|---|---|---|\n");
    for setting in SETTINGS {
        let value = setting.value.replace('|', "\\|");
        let default =
            if setting.default.is_empty() { "–".into() } else { format!("`{}`", setting.default) };
        table.push_str(&format!("| `--{} {value}` | {default} | {} |\n", setting.name, setting.help));
    }
    table
}

#[test]
fn every_dependency_says_what_it_is_for() {
    let notes = read("vendor-notes.md");
    let locked = read("Cargo.lock");
    let mut wrong = Vec::new();
    let dependencies = dependencies(&read("Cargo.toml"));
    for (name, has_comment) in &dependencies {
        if !has_comment {
            wrong.push(format!("Cargo.toml: {name} has no comment above it"));
        }
        let Some(cells) = notes_row(&notes, name) else {
            wrong.push(format!("vendor-notes.md: {name} has no row"));
            continue;
        };
        let version =
            format!("name = \"{name}\"\nversion = \"{}\"\n", cells.get(1).map_or("", String::as_str));
        if !locked.contains(&version) {
            wrong.push(format!("vendor-notes.md: the version of {name} is not that of Cargo.lock"));
        }
    }
    let rows = notes.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let stale = rows.filter(|row| !dependencies.iter().any(|(name, _)| name == row));
    wrong.extend(stale.map(|row| format!("vendor-notes.md: {row} is not in Cargo.toml")));
    none(&wrong);
}

/// The direct dependencies, and whether a comment stands above each.
fn dependencies(manifest: &str) -> Vec<(String, bool)> {
    let mut found = Vec::new();
    let (mut is_inside, mut previous) = (false, "");
    for line in manifest.lines() {
        if let Some(section) = line.strip_prefix('[') {
            is_inside = section.trim_end_matches(']').ends_with("dependencies");
        } else if is_inside && line.starts_with(|c: char| c.is_ascii_alphabetic()) {
            found.push((
                line.split([' ', '=', '.']).next().unwrap_or("").to_string(),
                previous.starts_with('#'),
            ));
        }
        previous = line;
    }
    found
}

/// The cells of the row ``| `name` | … |``.
fn notes_row(notes: &str, name: &str) -> Option<Vec<String>> {
    let row = notes.lines().find(|line| line.starts_with(&format!("| `{name}` |")))?;
    Some(row.trim_matches('|').split(" | ").map(|cell| cell.trim().to_string()).collect())
}

/// A file of ours, with its path from the repository's root.
struct Source {
    path: String,
    text: String,
}

impl Source {
    /// The text without its comments, line for line.
    fn code(&self) -> String {
        let lines = self.text.lines().map(|line| {
            let comment = line.match_indices("//").find(|(at, _)| *at == 0 || line[..*at].ends_with(' '));
            &line[..comment.map_or(line.len(), |(at, _)| at)]
        });
        lines.map(|line| format!("{line}\n")).collect()
    }
}

/// Lines with their numbers, from 1.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().map(|(index, line)| (index + 1, line))
}

/// Every Rust file below a folder, by path.
fn sources(folder: &str) -> Vec<Source> {
    let mut paths = Vec::new();
    collect(&root().join(folder), &mut paths);
    paths.sort();
    let sources = paths.into_iter().map(|path| {
        let text = fs::read_to_string(&path).expect("read a source file");
        let inside = path.strip_prefix(root()).expect("below the root");
        Source { path: inside.to_string_lossy().replace('\\', "/"), text }
    });
    let sources: Vec<_> = sources.collect();
    assert!(!sources.is_empty(), "{folder} has Rust files");
    sources
}

fn collect(folder: &Path, paths: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("list a folder") {
        let path = entry.expect("list a folder").path();
        if path.is_dir() {
            // What a fuzzer has built is not ours to keep tidy.
            if !path.ends_with("tests/fuzz/target") {
                collect(&path, paths);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            paths.push(path);
        }
    }
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|cause| panic!("read {path}: {cause}"))
}

/// The repository; cargo runs tests in it.
fn root() -> PathBuf {
    std::env::current_dir().expect("the working directory")
}

/// Fails with all that is wrong, a line each.
#[track_caller]
fn none(wrong: &[String]) {
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}
