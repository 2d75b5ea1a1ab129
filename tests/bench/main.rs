//! Load figures of the release binary over loopback, on the real disk. `cargo bench -- help` tells how to ask.
//!
//! Nothing timed is asserted; every row checks what the server made of its load.

mod client;
mod deployment;
mod entry;
mod figures;
mod floor;
mod gzip;
mod null;
#[path = "../server/support/process.rs"]
#[allow(dead_code)]
mod process;
mod rows;
mod stack;
mod svg;
mod target;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::ExitCode;

use self::figures::Figures;
use self::floor::Floors;
use self::rows::{ROWS, Row, Size, growth};
use self::target::Target;

const HELP: &str =
    "cargo bench -- [ROW or start of rows | all | svg FILE] [--against URL --token TOKEN] [--rounds N]

Without a name: every row that takes a few seconds. `all`: the large ones too.
`cli`: the real `pulumi`, which must be on PATH with its YAML language host.
`svg FILE`: how the cost grows with the state, as a plot.
--against drives another server with the same load, in turns, and prints the ratio.
";

/// What was asked for.
struct Options {
    names: Vec<String>,
    against: Option<String>,
    token: String,
    rounds: usize,
}

fn main() -> ExitCode {
    if let Some(code) = run_with_data_on_this_disk() {
        return code;
    }
    let options = match parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(text) => {
            print!("{text}");
            return ExitCode::from(u8::from(text != HELP));
        }
    };
    if let [svg, file] = options.names.as_slice()
        && svg == "svg"
    {
        return plot(file, &options);
    }
    let floors = Floors::measure(&std::env::temp_dir());
    println!("{}\n{}", figures::head(), floors.lines());
    let rows: Vec<&Row> = ROWS.iter().filter(|row| is_asked_for(row, &options.names)).collect();
    if rows.is_empty() {
        let names: Vec<&str> = ROWS.iter().map(|row| row.name).collect();
        println!("there is no such row; there are: {}", names.join(", "));
        return ExitCode::FAILURE;
    }
    let n_failed = rows.iter().filter(|row| !run(row, &options, &floors)).count();
    ExitCode::from(u8::from(n_failed > 0))
}

/// Measures and draws how the cost grows with the state.
fn plot(file: &str, options: &Options) -> ExitCode {
    let other = options.against.as_ref().map(|url| move || Target::at(url, &options.token));
    let curves = growth::curves(other.as_ref().map(|other| other as &dyn Fn() -> Target));
    match std::fs::write(file, svg::plot(&curves)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            println!("{file}: {why}");
            ExitCode::FAILURE
        }
    }
}

/// Temporary folders may be in memory; those of the build are on the disk that counts. So all runs again with
/// the build's folder as the temporary one.
fn run_with_data_on_this_disk() -> Option<ExitCode> {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR"));
    if std::env::temp_dir() == dir {
        return None;
    }
    std::fs::create_dir_all(dir).expect("make the build's folder for temporary files");
    let this = std::env::current_exe().expect("the path of this program");
    let status = std::process::Command::new(this).args(std::env::args().skip(1)).env("TMPDIR", dir).status();
    let code = status.expect("run this program again").code();
    Some(ExitCode::from(code.unwrap_or(1) as u8))
}

fn parse(arguments: impl Iterator<Item = String>) -> Result<Options, String> {
    let mut options = Options { names: Vec::new(), against: None, token: "pul-bench".into(), rounds: 0 };
    // Cargo adds `--bench`.
    let mut arguments = arguments.filter(|argument| argument != "--bench");
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or(format!("{argument} needs a value\n"));
        match argument.as_str() {
            "help" | "--help" => return Err(HELP.into()),
            "--against" => options.against = Some(value()?),
            "--token" => options.token = value()?,
            "--rounds" => options.rounds = value()?.parse().map_err(|_| "--rounds needs a number\n")?,
            name if !name.starts_with('-') => options.names.push(name.into()),
            other => return Err(format!("{other} is not an option\n\n{HELP}")),
        }
    }
    if options.rounds == 0 {
        options.rounds = if options.against.is_some() { 3 } else { 1 };
    }
    Ok(options)
}

/// A name asks for its row; if there is none of that name, for all rows that start so.
fn is_asked_for(row: &Row, names: &[String]) -> bool {
    let is_row = |name: &String| ROWS.iter().any(|row| row.name == name);
    match names {
        [] => row.size == Size::Usual,
        [all] if all == "all" => row.size != Size::Named,
        names => {
            names.iter().any(|name| row.name == name || !is_row(name) && row.name.starts_with(name.as_str()))
        }
    }
}

/// Runs a row in rounds, ours and the other server in turns, and prints its line; false if it failed.
fn run(row: &Row, options: &Options, floors: &Floors) -> bool {
    let (mut ours, mut other) = (Figures::default(), Figures::default());
    let rounds = catch_unwind(AssertUnwindSafe(|| {
        for _ in 0..options.rounds {
            (row.run)(&Target::ours(), &mut ours);
            if let Some(url) = &options.against {
                (row.run)(&Target::at(url, &options.token), &mut other);
            }
        }
    }));
    if rounds.is_err() {
        println!("{:<24} FAILED, see above", row.name);
        return false;
    }
    let notes = [&[row.goal.to_string()], ours.notes.as_slice()].concat().join("; ");
    println!("{}  {notes}", figures::line(row.name, row.unit, &ours, floors));
    if options.against.is_some() {
        let ratio =
            other.percentile(0.5).zip(ours.percentile(0.5)).map(|(o, s)| o.as_secs_f64() / s.as_secs_f64());
        let ratio = ratio.map_or(String::new(), |ratio| format!("{ratio:.2} × our p50; "));
        println!(
            "{}  {ratio}{}",
            figures::line("  against", row.unit, &other, floors),
            other.notes.join("; ")
        );
    }
    true
}
