//! stillwire beside its peers, in one run: run it on a machine with nothing else to do, and compare ratios, not times.

mod measure;
mod pipe;
mod report;
mod sizes;
mod sse;
mod ws;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use measure::Effort;

const USAGE: &str = "\
stillwire beside its peers, in one run

  compare [--only WORDS] [--quick] [--json FILE] [--svg DIR]
      CPU time per message, in memory: the fastest of many turns, and the median
  compare sizes [--quick]
      the sizes of our machines, and the memory of idle connections, ours and others'

  --only WORDS   only benches and cases whose names contain WORDS
  --quick        short and rough
  --json FILE    an array with one object a row
  --svg DIR      a chart a bench

Columns: `x peer` is the speed in relation to the fastest peer's (2 is twice as fast), `x limit` in relation to one
copy of the bytes (for parsing: to the search for line ends).
";

#[derive(Default)]
struct Options {
    sizes: bool,
    quick: bool,
    only: String,
    json: Option<PathBuf>,
    svg: Option<PathBuf>,
}

fn options(mut args: impl Iterator<Item = String>) -> Option<Options> {
    let mut options = Options::default();
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "sizes" => options.sizes = true,
            "--quick" => options.quick = true,
            "--only" => options.only = args.next()?,
            "--json" => options.json = Some(args.next()?.into()),
            "--svg" => options.svg = Some(args.next()?.into()),
            _ => return None,
        }
    }
    Some(options)
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let [hold, who, count] = args.as_slice()
        && hold == sizes::HOLD
    {
        return sizes::hold(who, count);
    }
    let Some(options) = options(args.into_iter()) else {
        eprint!("{USAGE}");
        return ExitCode::from(2);
    };
    if options.sizes {
        return sizes::show(options.quick);
    }
    let (turn, rounds) = if options.quick { (2, 7) } else { (8, 25) };
    let effort = Effort { turn: Duration::from_millis(turn), rounds };
    let mut rows = Vec::new();
    for case in ws::cases().chain(sse::cases()) {
        let named = format!("{}, {}", case.bench, case.case).contains(&options.only);
        if named {
            measure::run(case, effort, &mut rows);
        }
    }
    print!("{}", report::table(&rows));
    let written = options.json.map_or(Ok(()), |file| std::fs::write(file, report::json(&rows)));
    match written.and_then(|()| options.svg.map_or(Ok(()), |folder| report::svg(&rows, &folder))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("compare: {error}");
            ExitCode::FAILURE
        }
    }
}
