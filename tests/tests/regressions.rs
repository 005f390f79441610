//! What fuzzing found, replayed; and the targets themselves, on every seed.

use std::{
    collections::BTreeSet,
    fs,
    panic::catch_unwind,
    path::{Path, PathBuf},
};

use stillwire_tests::fuzz;

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    paths
}

fn name(path: &Path) -> String {
    path.file_name().expect("a name").to_string_lossy().into_owned()
}

fn targets() -> BTreeSet<String> {
    fuzz::TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect()
}

/// Runs all of these, then tells which fail.
fn all_hold(inputs: impl Iterator<Item = (String, String, Vec<u8>)>) -> usize {
    let (mut count, mut failed) = (0, Vec::new());
    for (target, name, bytes) in inputs {
        count += 1;
        if catch_unwind(|| fuzz::run(&target, &bytes)).is_err() {
            failed.push(format!("{target}/{name}"));
        }
    }
    assert!(failed.is_empty(), "these do not hold (the reasons stand above): {failed:#?}");
    count
}

/// Each file of `tests/regressions/TARGET/`. A folder that is no target, and one without a file, is a mistake.
#[test]
fn findings_stay_fixed() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("regressions");
    let folders = entries(&root);
    let named: BTreeSet<_> = folders.iter().map(|folder| name(folder)).collect();
    assert_eq!(named, targets(), "each target has a folder, and each folder is a target");
    let files = folders.iter().flat_map(|folder| {
        let files = entries(folder);
        assert!(!files.is_empty(), "{} is empty", folder.display());
        files.into_iter().map(|file| {
            let bytes = fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
            (name(folder), name(&file), bytes)
        })
    });
    println!("{} findings", all_hold(files));
}

#[test]
fn every_seed_holds() {
    let seeds = fuzz::seeds();
    let seeded: BTreeSet<_> = seeds.iter().map(|(target, ..)| (*target).to_owned()).collect();
    assert_eq!(seeded, targets(), "each target has a seed");
    let seeds = seeds.into_iter().map(|(target, name, bytes)| (target.to_owned(), name, bytes));
    println!("{} seeds", all_hold(seeds));
}

/// The programs in `fuzz/` are these targets, all of them.
#[test]
fn every_target_has_its_program() {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the root").join("fuzz");
    let manifest = fs::read_to_string(fuzz.join("Cargo.toml")).expect("fuzz/Cargo.toml");
    let (_, bins) = manifest.split_once("[[bin]]").expect("programs");
    let listed = bins.lines().filter_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"'));
    assert_eq!(listed.map(str::to_owned).collect::<BTreeSet<_>>(), targets());
    for file in entries(&fuzz.join("fuzz_targets")) {
        let target = name(&file).trim_end_matches(".rs").to_owned();
        let program = fs::read_to_string(&file).expect("a program");
        assert!(targets().contains(&target), "{target} is a target");
        assert!(program.contains(&format!("stillwire_tests::fuzz::{target}(")), "{target} runs another one");
    }
}

#[test]
#[should_panic(expected = "there is no target")]
fn an_unknown_target_is_an_error() {
    fuzz::run("nonsense", b"");
}
