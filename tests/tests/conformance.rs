//! Each proof that docs/conformance.md names exists.

use std::{collections::BTreeSet, fs, path::Path};

/// The names of all tests in `file::name` form, and of all transcripts.
fn proofs(root: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(root.join("tests")).expect("the tests").flatten() {
        let file = entry.file_name().to_string_lossy().trim_end_matches(".rs").to_owned();
        let text = fs::read_to_string(entry.path()).unwrap_or_default();
        let mut lines = text.lines().map(str::trim);
        while let Some(line) = lines.next() {
            if line == "#[test]" {
                let name = lines.find_map(|line| line.strip_prefix("fn ")).expect("a function");
                found.insert(format!("{file}::{}", name.split('(').next().unwrap_or_default()));
            }
        }
    }
    for entry in fs::read_dir(root.join("transcripts/ws")).expect("the transcripts").flatten() {
        found.insert(entry.file_name().to_string_lossy().trim_end_matches(".txt").to_owned());
    }
    found
}

#[test]
fn every_proof_that_the_tables_name_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page =
        fs::read_to_string(root.parent().expect("the root").join("docs/conformance.md")).expect("the page");
    let proofs = proofs(root);
    let (mut named, mut missing) = (0, vec![]);
    for row in page.lines().filter(|line| line.starts_with("| ")) {
        let Some(cell) = row.trim_end_matches(" |").rsplit('|').next() else { continue };
        for name in cell.split('`').skip(1).step_by(2) {
            named += 1;
            // A star stands for one or more of a family of transcripts.
            let is_there = match name.split_once('*') {
                Some((front, back)) => {
                    proofs.iter().any(|proof| proof.starts_with(front) && proof.ends_with(back))
                }
                None => proofs.contains(name),
            };
            if !is_there {
                missing.push(name.to_owned());
            }
        }
    }
    assert!(named > 100, "{named} proofs are named");
    assert!(missing.is_empty(), "there is no {missing:#?}");
}
