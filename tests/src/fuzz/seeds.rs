//! Where fuzzing begins: the bytes of every transcript, and some noise where there are no transcripts.

use std::{fs, path::Path};

use super::{HEAD, MACHINES, TARGETS};
use crate::transcript::Transcript;

/// All seeds: target, name of the file, content.
///
/// # Panics
/// When the transcripts cannot be read.
#[must_use]
pub fn seeds() -> Vec<(&'static str, String, Vec<u8>)> {
    let mut seeds = Vec::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("transcripts");
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("the folder of transcripts") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path.strip_prefix(&root).unwrap_or(&path).to_string_lossy().replace(['/', '.'], "-");
            let transcript = Transcript::parse(&fs::read_to_string(&path).expect("a transcript is text"));
            of_transcript(&transcript, &name, &mut seeds);
        }
    }
    for target in ["operations", "http_head_body", "sse_block", "ws_handshake"] {
        assert!(TARGETS.iter().any(|(name, _)| *name == target), "{target} is a target");
        seeds.extend((0..16_u64).map(|n| (target, format!("noise-{n}"), noise(n, 16 << (n % 6)))));
    }
    let offers = [
        "permessage-deflate; client_max_window_bits",
        "permessage-deflate; server_max_window_bits=9; server_no_context_takeover",
        "x; y=\"a,b\\\"\", permessage-deflate; client_max_window_bits=\"10\"",
    ];
    seeds.extend(offers.iter().enumerate().map(|(n, text)| {
        let head = [0, 0, 15, 15, 0, 12, 9, 4];
        let bytes = [&head[..], b"chat", &[text.len() as u8], text.as_bytes(), &[0, 0, 0]].concat();
        ("ws_handshake", format!("offer-{n}"), bytes)
    }));
    let json = [
        "{\"seq\":7,\"messages\":[\"a\\n\\u00fc\\ud83d\\ude00\",{\"b64\":\"AA==\"}]}",
        "[-0.5e+3,true,null,[[]],{}]",
    ];
    seeds.extend(
        json.iter().enumerate().map(|(n, text)| ("json", format!("text-{n}"), text.as_bytes().to_vec())),
    );
    seeds.sort();
    seeds
}

fn of_transcript(transcript: &Transcript, name: &str, seeds: &mut Vec<(&'static str, String, Vec<u8>)>) {
    // Several subjects may read what was written for one: a stream and one that resyncs.
    for (which, (target, subject, input)) in MACHINES.iter().enumerate() {
        if *subject != transcript.subject {
            continue;
        }
        let input = input(transcript);
        if input.len() > 8192 {
            continue; // too slow to be a good seed
        }
        // The largest inbox, a few cuts, a long wait.
        let head: [u8; HEAD] = [4, 1, 7, 0, 128, 0, 100, 0, 220];
        seeds.push((target, name.to_owned(), [&head[..], &input].concat()));
        if input.len() <= 100 {
            seeds.push(("chunking", name.to_owned(), [&[which as u8, 2], &input[..]].concat()));
        }
    }
}

/// SplitMix64.
fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut entropy = stillwire::Entropy::insecure_seeded(seed);
    std::iter::repeat_with(|| entropy.take::<8>()).flatten().take(len).collect()
}
