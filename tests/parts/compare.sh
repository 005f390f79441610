# shellcheck shell=bash
# How fast: beside others, by the clock (by name only, no gate), and by itself, in instructions (a gate).

# That the program is well-formed, and that all contenders deliver the same messages: it looks before it measures.
part_peers() {
  run cargo clippy --locked -p stillwire-compare --all-targets -- -D warnings
  run cargo run --locked -p stillwire-compare -- ws --quick
  run cargo run --locked -p stillwire-compare -- sse --quick
}

part_compare() {
  local compare
  run cargo build --locked --release -p stillwire-compare
  compare=$(target_dir)/release/compare
  mkdir -p "$out/compare"
  run "$compare" ws --json "$out/compare/ws.json" --svg "$out/compare"
  run "$compare" sse --json "$out/compare/sse.json" --svg "$out/compare"
  run "$compare" sizes
}

# Over sockets; node takes part when it can.
part_compare_live() {
  local compare
  need_node
  run cargo build --locked --release -p stillwire-compare
  compare=$(target_dir)/release/compare
  run "$compare" ws-echo
  run "$compare" ws-idle
  run "$compare" fanout
}

# `tests/run instructions --update` writes the file.
part_instructions() {
  local update=() target
  case "$(rustc -vV)" in *'host: x86_64-unknown-linux-gnu'*) ;; *) skip 'the counts are for x86_64-unknown-linux-gnu' ;; esac
  # The C library's symbols: without them valgrind cannot replace what it must.
  need_debian valgrind 'valgrind is not installed' valgrind libc6-dbg
  if [ -n "${STILLWIRE_UPDATE-}" ]; then update=(--update); fi
  target=$(target_dir)/instructions
  # Lines for callgrind's annotations; they change no code.
  export RUSTFLAGS='-C target-cpu=x86-64' CARGO_PROFILE_RELEASE_DEBUG=line-tables-only
  run cargo build --locked --release -p stillwire-instructions --target-dir "$target"
  run "$target/release/stillwire-instructions" tests/compare/instructions.txt "${update[@]}"
}
