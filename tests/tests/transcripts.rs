//! Every transcript, at every chunk size.

use std::{fs, path::Path};

use stillwire_tests::{subjects, transcript::Transcript};

fn files(folder: &Path, found: &mut Vec<std::path::PathBuf>) {
    for entry in fs::read_dir(folder).expect("the folder of transcripts").flatten() {
        let path = entry.path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|e| e == "txt") {
            found.push(path);
        }
    }
}

#[test]
fn every_transcript_holds_at_every_chunk_size() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("transcripts");
    let mut found = Vec::new();
    files(&root, &mut found);
    found.sort();
    let mut failed = Vec::new();
    let mut subjects: Vec<String> = Vec::new();
    for path in &found {
        let name = path.strip_prefix(&root).unwrap_or(path).display().to_string();
        let text = fs::read_to_string(path).expect("a transcript is text");
        let result = std::panic::catch_unwind(|| {
            let transcript = Transcript::parse(&text);
            subjects::replay(&transcript);
            transcript.subject
        });
        match result {
            Ok(subject) => subjects.push(subject),
            Err(_) => failed.push(name),
        }
    }
    println!("{} transcripts", found.len());
    assert!(failed.is_empty(), "these do not hold (the reasons stand above): {failed:#?}");
    for name in subjects::NAMES {
        assert!(subjects.iter().any(|s| s == name), "no transcript for {name}");
    }
}
