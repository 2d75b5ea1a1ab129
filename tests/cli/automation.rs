//! Programs that drive stacks through the Automation API for Go. What must come of each story stands in it, in
//! `tests/cli/automation/main.go`.

use crate::support::site::Site;
use crate::support::tools::automation;

fn tell(story: &str) {
    let Some(site) = Site::start() else { return };
    let program = automation().unwrap_or_else(|why| panic!("{why}"));
    site.project("programs").program(program, &[story]).ok();
}

#[test]
fn the_life_of_a_stack() {
    tell("life");
}

#[test]
fn errors_are_recognised() {
    tell("errors");
}

#[test]
fn a_program_reads_the_outputs_of_another() {
    tell("references");
}

#[test]
fn components_and_their_children() {
    tell("components");
}

#[test]
fn a_program_that_panics() {
    tell("panic");
}
