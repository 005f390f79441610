# shellcheck shell=bash
# The programs of tests/runtimes: the core in event loops that are not ours. A workspace of their own.

runtimes() {
  run cargo "$1" --locked --manifest-path tests/runtimes/Cargo.toml --target-dir "$(target_dir)/runtimes" "${@:2}"
}

part_runtimes() {
  need_node
  run cargo fmt --manifest-path tests/runtimes/Cargo.toml --check
  runtimes clippy --all-targets -- -D warnings
  # With it, the Rust of docs/drivers.md.
  runtimes test
  runtimes build --bins
  RUNTIMES=$(target_dir)/runtimes/debug run node tests/interop/runtimes.mjs
}

part_idle() {
  ulimit -S -n 12000 2>/dev/null || skip "it needs 12,000 file descriptors, and $(ulimit -H -n) are allowed"
  runtimes build --release --bins
  run "$(target_dir)/runtimes/release/idle"
}
