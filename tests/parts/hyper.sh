# shellcheck shell=bash
# Our binding to hyper and axum.

part_hyper() {
  need_node
  need_chromium
  need_firefox
  run cargo clippy --locked -p stillwire-hyper --features axum --all-targets -- -D warnings
  run cargo test --locked -p stillwire-hyper --features axum
  run cargo build --locked -p stillwire-hyper --features axum --example axum
  HYPER_EXAMPLE=$(target_dir)/debug/examples/axum run node tests/interop/hyper.mjs
}
