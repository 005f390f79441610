# shellcheck shell=bash
# The parts that need cargo and nothing else.

# Where cargo builds: CARGO_TARGET_DIR or what its configuration says.
target_dir() {
  cargo metadata --locked --no-deps --format-version 1 | sed 's/.*"target_directory":"\([^"]*\)".*/\1/'
}

part_fmt() {
  run cargo fmt --all --check
  run cargo fmt --manifest-path tests/nostd/Cargo.toml --check
}

part_layers() {
  need python3
  run python3 tests/parts/layers.py
}

part_clippy() {
  run cargo clippy --locked --workspace --all-targets -- -D warnings
}

part_test() {
  run cargo test --locked --workspace
}

# The tiers of the core. The static library proves the lowest one: it has a panic handler of its own and no allocator, so
# it does not compile if anything below it links std or alloc; and the same with std must fail, or the proof is none.
part_tiers() {
  local tier
  for tier in '' alloc std; do
    run cargo clippy --locked -p stillwire --lib --no-default-features --features "$tier" -- -D warnings
    run cargo test --locked -p stillwire --lib --no-default-features --features "$tier"
  done
  local nostd=(cargo build --locked --manifest-path tests/nostd/Cargo.toml --target-dir "$(target_dir)/nostd")
  run "${nostd[@]}"
  run "${nostd[@]}" --release
  local feature
  for feature in alloc std; do
    if run "${nostd[@]}" --features "$feature" >"$out/nostd-$feature.log" 2>&1; then
      echo "tests/nostd builds with $feature, too: it proves nothing"
      return 1
    fi
    echo "and with $feature it does not, as it must: $(grep -m1 '^error' "$out/nostd-$feature.log")"
  done
}

part_sizes() {
  run cargo run --locked --quiet --manifest-path tests/nostd/Cargo.toml --target-dir "$(target_dir)/nostd" --example sizes
}

part_docs() {
  RUSTDOCFLAGS='-D warnings' run cargo doc --locked --workspace --no-deps
}

part_laws() {
  export STILLWIRE_LAW_CASES=${STILLWIRE_LAW_CASES:-100000}
  run cargo test --locked --release -p stillwire-tests --test laws
}
