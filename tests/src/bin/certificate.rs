//! Makes a certificate for this machine, for an hour of tests: `certificate FOLDER` writes `certificate.pem` and `key.pem`.

use std::{fs, path::Path};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args().nth(1).ok_or("into which folder?")?;
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned(), "localhost".to_owned()])?;
    fs::create_dir_all(&folder)?;
    fs::write(Path::new(&folder).join("certificate.pem"), made.cert.pem())?;
    fs::write(Path::new(&folder).join("key.pem"), made.signing_key.serialize_pem())?;
    Ok(())
}
