//! stillwire beside its peers, in one run.
//!
//! ```text
//! compare [--only WORDS] [--quick] [--json FILE] [--svg DIR]    messages, in memory
//! compare sizes                                                 memory of idle connections
//! ```

mod measure;
mod pipe;
mod sse;
mod ws;

fn main() {
    let only = std::env::args().nth(1).unwrap_or_default();
    let effort = measure::Effort { turn: std::time::Duration::from_millis(2), rounds: 7 };
    let mut rows = vec![];
    for case in ws::cases().into_iter().chain(sse::cases()) {
        if format!("{} {}", case.bench, case.case).contains(&only) {
            measure::run(case, effort, &mut rows);
        }
    }
    for r in rows {
        println!("{:28} {:30} {:20} {:10.1} {:10.1} {:6.2} {:6.2}", r.bench, r.case, r.who, r.min, r.median, r.to_best_peer.unwrap_or(0.0), r.to_limit.unwrap_or(0.0));
    }
}
