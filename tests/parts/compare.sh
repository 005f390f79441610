# shellcheck shell=bash
# How fast: beside others, by the clock (by name only, no gate), and by itself, in instructions (a gate).

# The program that compares us, with all peers that this Rust can build.
comparing() {
  local features=()
  # eventsource-client
  if [[ $(rustc --version) =~ ^rustc\ 1\.([0-9]+) ]] && [ "${BASH_REMATCH[1]}" -lt 95 ]; then features=(--no-default-features); fi
  run cargo "$1" --locked -p stillwire-compare "${features[@]}" "${@:2}"
}

# That the program is well-formed, and that all contenders deliver the same messages: it looks before it measures.
part_peers() {
  comparing clippy --all-targets -- -D warnings
  comparing run -- ws --quick
  comparing run -- sse --quick
}

part_compare() {
  local compare
  comparing build --release
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
  comparing build --release
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
