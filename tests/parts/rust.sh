# shellcheck shell=bash
# The parts that need cargo and nothing else.

# Where cargo builds: CARGO_TARGET_DIR or what its configuration says.
target_dir() {
  cargo metadata --locked --no-deps --format-version 1 | sed 's/.*"target_directory":"\([^"]*\)".*/\1/'
}

part_fmt() {
  run cargo fmt --all --check
  run cargo fmt --manifest-path tests/nostd/Cargo.toml --check
  run cargo fmt --manifest-path fuzz/Cargo.toml --check
}

part_layers() {
  need python3
  run python3 tests/parts/layers.py
}

# All of the workspace but the program that we are compared with others in, and with it all the others: see part_peers.
ours=(--locked --workspace --exclude stillwire-compare)

part_clippy() {
  run cargo clippy "${ours[@]}" --all-targets -- -D warnings
}

part_test() {
  run cargo test "${ours[@]}"
}

# The adapters without and with what is optional. (The workspace's own build has TLS on for tokio, and off for std.)
part_features() {
  local adapter features
  for adapter in std tokio; do
    for features in '' tls deflate webpki-roots native-roots; do
      run cargo clippy --locked -p "stillwire-$adapter" --all-targets --no-default-features --features "$features" -- -D warnings
    done
  done
  run cargo test --locked -p stillwire-tokio --features deflate --test connect
  run cargo test --locked -p stillwire-std --features tls,deflate
  run cargo test --locked -p stillwire-tls --features webpki-roots
}

# The tiers of the core. The static library proves the lowest one: it has a panic handler of its own and no allocator, so
# it does not compile if anything below it links std or alloc; and with them it must fail for just that reason, or the
# proof is none. It builds with the versions of the workspace's lock file.
part_tiers() {
  local tier
  for tier in '' alloc std deflate http simd; do
    run cargo clippy --locked -p stillwire --lib --no-default-features --features "$tier" -- -D warnings
    run cargo test --locked -p stillwire --lib --no-default-features --features "$tier"
  done
  run cp Cargo.lock tests/nostd/Cargo.lock
  local nostd=(cargo build --manifest-path tests/nostd/Cargo.toml --target-dir "$(target_dir)/nostd")
  run "${nostd[@]}"
  run "${nostd[@]}" --release
  fails_because 'no global memory allocator found' "${nostd[@]}" --features alloc
  fails_because 'duplicate lang item' "${nostd[@]}" --features std
}

# fails_because WORDS COMMAND...: the command must fail and say these words.
fails_because() {
  if run "${@:2}" >"$out/counter-proof.log" 2>&1; then
    echo "this was to fail with \"$1\", but it builds: ${*:2}"
    return 1
  fi
  if ! grep -F "$1" "$out/counter-proof.log"; then
    echo "this failed for another reason than \"$1\": ${*:2}"
    cat "$out/counter-proof.log"
    return 1
  fi
}

part_sizes() {
  run cargo test "${ours[@]}" --test sizes -- --nocapture
}

part_docs() {
  RUSTDOCFLAGS='-D warnings' run cargo doc "${ours[@]}" --lib --no-deps
}

part_laws() {
  export STILLWIRE_LAW_CASES=${STILLWIRE_LAW_CASES:-100000}
  run cargo test --locked --release -p stillwire-tests --test laws
}
