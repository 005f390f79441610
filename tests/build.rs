//! Finds every machine of the core, so that one that is not in the harness does not compile into the tests.

use std::{env, fs, path::Path};

fn main() {
    let core = Path::new("../core/src");
    let mut machines = Vec::new();
    visit(core, core, &mut machines);
    machines.sort();
    let calls: String =
        machines.iter().map(|path| format!("    covered::<stillwire::{path}>();\n")).collect();
    let check = format!("fn covered<M: Covered>() {{}}\nconst _: fn() = || {{\n{calls}}};\n");
    let out = env::var("OUT_DIR").expect("cargo sets OUT_DIR");
    fs::write(Path::new(&out).join("covered.rs"), check).expect("OUT_DIR can be written");
}

/// Collects `ws::Connection` for `impl Machine for Connection` in `core/src/ws/`.
fn visit(root: &Path, folder: &Path, machines: &mut Vec<String>) {
    println!("cargo::rerun-if-changed={}", folder.display());
    for entry in fs::read_dir(folder).expect("the core stands beside the tests").flatten() {
        let path = entry.path();
        if path.is_dir() {
            visit(root, &path, machines);
            continue;
        }
        println!("cargo::rerun-if-changed={}", path.display());
        let module = path.parent().and_then(|p| p.strip_prefix(root).ok()).expect("below the root");
        let module = module.to_string_lossy().replace('/', "::");
        for line in fs::read_to_string(&path).unwrap_or_default().lines().filter(|l| l.starts_with("impl")) {
            let Some((_, name)) = line.split_once(" Machine for ") else { continue };
            let name: String = name.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            machines.push(if module.is_empty() { name } else { format!("{module}::{name}") });
        }
    }
}
