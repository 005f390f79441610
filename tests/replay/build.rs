//! Says to the board's linker where memory is, and lays down what is replayed: the folder `REPLAY` as `seeds` writes it,
//! as one file of records (machine, length, bytes).

use std::{env, fs, path::PathBuf};

const MACHINES: [&str; 6] =
    ["ws_server", "ws_client", "http_exchange", "http_fetch", "sse_stream", "polling_connection"];
/// In front of a seed: how a fuzzer cuts it.
const HEAD: usize = 9;

fn main() {
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap());
    println!("cargo:rerun-if-env-changed=REPLAY");
    let folder = PathBuf::from(
        env::var_os("REPLAY").expect("REPLAY: the folder that the program `seeds` has written"),
    );
    println!("cargo:rerun-if-changed={}", folder.display());
    let mut records = Vec::new();
    for (number, machine) in (0_u8..).zip(MACHINES) {
        let mut files: Vec<PathBuf> =
            fs::read_dir(folder.join(machine)).expect(machine).map(|entry| entry.unwrap().path()).collect();
        files.sort();
        assert!(!files.is_empty(), "there is nothing for {machine}");
        for file in files {
            let seed = fs::read(file).unwrap();
            let input = &seed[HEAD..];
            records.push(number);
            records.extend((input.len() as u32).to_le_bytes());
            records.extend(input);
        }
    }
    fs::write(out.join("records"), records).unwrap();
    let memory =
        "MEMORY {\n  FLASH : ORIGIN = 0x0, LENGTH = 4M\n  RAM : ORIGIN = 0x20000000, LENGTH = 1M\n}\n";
    fs::write(out.join("memory.x"), memory).unwrap();
    if env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("none") {
        println!("cargo:rustc-link-search={}", out.display());
        println!("cargo:rustc-link-arg-bins=-Tlink.x");
        println!("cargo:rustc-link-arg-bins=--nmagic");
    }
}
