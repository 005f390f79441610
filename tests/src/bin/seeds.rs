//! Writes the seeds of the fuzzers: `seeds FOLDER` makes `FOLDER/TARGET/NAME`.

use std::{env, fs, io, path::PathBuf};

fn main() -> io::Result<()> {
    let Some(folder) = env::args_os().nth(1).map(PathBuf::from) else {
        return Err(io::Error::other("say where to: seeds FOLDER"));
    };
    for (target, _) in stillwire_tests::fuzz::TARGETS {
        fs::create_dir_all(folder.join(target))?;
    }
    let seeds = stillwire_tests::fuzz::seeds();
    for (target, name, bytes) in &seeds {
        fs::write(folder.join(target).join(name), bytes)?;
    }
    println!("{} seeds for {} targets", seeds.len(), stillwire_tests::fuzz::TARGETS.len());
    Ok(())
}
