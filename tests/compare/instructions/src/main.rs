//! How many instructions a few small workloads of ours take: what a clock on a shared machine cannot say, callgrind can,
//! exactly and again and again.
//!
//! ```text
//! instructions FILE             count, and compare with FILE; 1 when something became more than 2 % worse or better
//! instructions FILE --update    count, and write FILE
//! instructions --run NAME       one workload, for callgrind
//! ```
//!
//! So that the counts do not depend on the machine: the core is built without `std` (its dependencies then choose
//! nothing by the CPU), for the oldest x86-64, and the C library is told to do without what newer CPUs have. They do
//! depend on the compiler and on the C library: with other versions than those in FILE, differences are shown and are
//! no failure.

mod workloads;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, ExitCode};

/// More is a failure, and less asks for an update.
const TOLERANCE: f64 = 0.02;

/// Without these, memcpy and its like are the ones for the oldest x86-64.
const PLAIN_C_LIBRARY: &str = "glibc.cpu.hwcaps=-AVX512F,-AVX512VL,-AVX512BW,-AVX2,-AVX,-AVX_Fast_Unaligned_Load,-SSSE3,-SSE4_1,-SSE4_2,-ERMS,-FSRM";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = match args.as_slice() {
        ["--run", name] => run(name),
        [file] => compare(Path::new(file)),
        [file, "--update"] => update(Path::new(file)),
        _ => Err("usage: instructions FILE [--update]".into()),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("instructions: {error}");
            ExitCode::from(2)
        }
    }
}

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn run(name: &str) -> Result<bool> {
    let (_, _, n, prepare) =
        workloads::ALL.iter().find(|workload| workload.0 == name).ok_or("no such workload")?;
    counted(prepare(*n));
    Ok(true)
}

/// callgrind counts from the call of this function to its return.
#[inline(never)]
fn counted(workload: Box<dyn FnOnce()>) {
    workload();
    std::hint::black_box(());
}

/// Instructions for each operation of a workload.
fn count(name: &str, n: usize) -> Result<f64> {
    let out = std::env::temp_dir().join(format!("stillwire-instructions-{}", std::process::id()));
    let told = Command::new("valgrind")
        .args(["--tool=callgrind", "--collect-atstart=no", "--toggle-collect=*counted*"])
        .arg(format!("--callgrind-out-file={}", out.display()))
        .arg(std::env::current_exe()?)
        .args(["--run", name])
        // Nothing of the environment moves the stack or chooses another code path.
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("GLIBC_TUNABLES", PLAIN_C_LIBRARY)
        .output()?;
    if !told.status.success() {
        return Err(format!("{name}: {}", String::from_utf8_lossy(&told.stderr)).into());
    }
    let profile = std::fs::read_to_string(&out)?;
    std::fs::remove_file(&out)?;
    let total =
        profile.lines().find_map(|line| line.strip_prefix("totals: ")).ok_or("no totals in the profile")?;
    Ok(total.trim().parse::<u64>()? as f64 / n as f64)
}

fn count_all() -> Result<Vec<(&'static str, f64)>> {
    workloads::ALL.iter().map(|(name, _, n, _)| Ok((*name, count(name, *n)?))).collect()
}

/// What the counts depend on.
fn versions() -> Result<String> {
    let first_line = |program: &str, arg: &str| -> Result<String> {
        let told = Command::new(program).arg(arg).output()?;
        Ok(String::from_utf8_lossy(&told.stdout).lines().next().unwrap_or_default().to_owned())
    };
    Ok(format!("{}; {}", first_line("rustc", "--version")?, first_line("ldd", "--version")?))
}

fn update(file: &Path) -> Result<bool> {
    let mut text = format!(
        "# Instructions for each operation, by callgrind; `tests/run instructions --update` writes this file.\n\
         # versions: {}\n",
        versions()?
    );
    for ((name, count), (_, what, ..)) in count_all()?.into_iter().zip(workloads::ALL) {
        writeln!(text, "{name:<20} {count:>10.1}  {what}")?;
    }
    std::fs::write(file, &text)?;
    print!("{text}");
    Ok(true)
}

fn compare(file: &Path) -> Result<bool> {
    let text = std::fs::read_to_string(file)?;
    let recorded = text.lines().find_map(|line| line.strip_prefix("# versions: ")).unwrap_or_default();
    let mut expected = BTreeMap::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let mut words = line.split_whitespace();
        if let (Some(name), Some(count)) = (words.next(), words.next()) {
            expected.insert(name, count.parse::<f64>()?);
        }
    }
    let (mut worse, mut better, mut unknown) = (0, 0, 0);
    println!("{:<20} {:>10} {:>10} {:>8}", "instructions", "before", "now", "");
    for (name, now) in count_all()? {
        let Some(before) = expected.remove(name) else {
            println!("{name:<20} {:>10} {now:>10.1}  new", "");
            unknown += 1;
            continue;
        };
        let change = now / before - 1.0;
        let verdict = if change > TOLERANCE {
            "  WORSE"
        } else if change < -TOLERANCE {
            "  better"
        } else {
            ""
        };
        worse += usize::from(change > TOLERANCE);
        better += usize::from(change < -TOLERANCE);
        println!("{name:<20} {before:>10.1} {now:>10.1} {:>7.1}%{verdict}", change * 100.0);
    }
    for name in expected.keys() {
        println!("{name:<20} is in the file, and nowhere else");
        unknown += 1;
    }
    let versions = versions()?;
    if worse + better + unknown == 0 {
        return Ok(true);
    }
    if versions != recorded {
        println!("other versions, so this is no failure: the file is of {recorded}; here is {versions}");
        return Ok(true);
    }
    println!("{worse} worse, {better} better by more than 2 %, {unknown} new or gone");
    if worse > 0 {
        println!("if that is right: tests/run instructions --update, and say why in the commit");
    } else {
        println!("well done; keep it: tests/run instructions --update");
    }
    Ok(false)
}
