//! How the cost grows with the state: the same calls on stacks of 100 to 100,000 resources.

use super::{complete, export, journal};
use crate::figures::{Figures, millis};
use crate::svg::Curve;
use crate::target::Target;

const SIZES: [usize; 4] = [100, 1000, 10_000, 100_000];

/// The curves of the plot; those of another server, if there is one, beside ours.
pub fn curves(against: Option<&dyn Fn() -> Target>) -> Vec<Curve> {
    let mut curves = measure("", false, &Target::ours);
    if let Some(other) = against {
        curves.extend(measure("other: ", true, other));
    }
    curves
}

fn measure(prefix: &str, is_dashed: bool, target: &dyn Fn() -> Target) -> Vec<Curve> {
    type Run = fn(&Target, &mut Figures, usize);
    let lines: [(&str, &str, Run); 3] = [
        ("complete after one change", "#c0392b", complete::after_one_change),
        ("batch of 100 entries", "#2471a3", |target, figures, n_base| {
            journal::run(
                target,
                figures,
                journal::Load { n_clients: 1, n_base, n_per_batch: 100, n_batches: 50 },
            );
        }),
        ("export after an update", "#1e8449", |target, figures, n_resources| {
            export::stored(target, figures, n_resources, 1000, export::Way::Warm);
        }),
    ];
    let curve = |(label, color, run): (&str, &'static str, Run)| {
        let mut curve = Curve::new(format!("{prefix}{label}"), color, is_dashed);
        for n_resources in SIZES {
            let mut figures = Figures::default();
            run(&target(), &mut figures, n_resources);
            println!("{:<40} {n_resources:>7} {:>10}", curve.label, millis(figures.percentile(0.5)));
            curve.push(n_resources, &figures);
        }
        curve
    };
    lines.map(curve).into()
}
