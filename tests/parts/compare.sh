# shellcheck shell=bash
# How fast: beside others, by the clock (by name only, no gate), and by itself, in instructions (a gate).

# cargo for the workspace of tests/compare, which keeps the peers out of our lock file.
compare_cargo() {
  run cargo "$1" --locked --manifest-path tests/compare/Cargo.toml --target-dir "$(target_dir)/compare" "${@:2}"
}

part_compare() {
  local compare
  compare_cargo build --release -p stillwire-compare
  compare=$(target_dir)/compare/release/compare
  mkdir -p "$out/compare"
  run "$compare" --json "$out/compare/compare.json" --svg "$out/compare"
  run "$compare" sizes
}

# `tests/run instructions --update` writes the file.
part_instructions() {
  local update=()
  case "$(rustc -vV)" in *'host: x86_64-unknown-linux-gnu'*) ;; *) skip 'the counts are for x86_64-unknown-linux-gnu' ;; esac
  # The C library's symbols: without them valgrind cannot replace what it must.
  need_debian valgrind 'valgrind is not installed' valgrind libc6-dbg
  if [ -n "${STILLWIRE_UPDATE-}" ]; then update=(--update); fi
  export RUSTFLAGS='-C target-cpu=x86-64'
  compare_cargo build --release -p stillwire-instructions
  run "$(target_dir)/compare/release/stillwire-instructions" tests/compare/instructions.txt "${update[@]}"
}
