//! Says to the linker where the board's memory is.

fn main() {
    let out = std::env::var("OUT_DIR").unwrap();
    let memory =
        "MEMORY {\n  FLASH : ORIGIN = 0x0, LENGTH = 1M\n  RAM : ORIGIN = 0x20000000, LENGTH = 128K\n}\n";
    std::fs::write(format!("{out}/memory.x"), memory).unwrap();
    println!("cargo:rustc-link-search={out}");
    println!("cargo:rustc-link-arg-bins=-Tlink.x");
    println!("cargo:rustc-link-arg-bins=--nmagic");
    println!("cargo:rerun-if-changed=build.rs");
}
