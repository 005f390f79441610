# shellcheck shell=bash
# The parts where other people's programs talk to ours.

# The programs of ours; $bin is then their folder.
need_programs() {
  run cargo build --locked -p stillwire-tests --bins
  run cargo build --locked -p stillwire-std --examples --features tls
  bin=$(target_dir)/debug
  export INTEROP_SERVER=$bin/interop-server INTEROP_CLIENT=$bin/interop-client INTEROP_STD=$bin/examples
  export INTEROP_SSE_CLIENT=$bin/sse-client
}

part_scripts() {
  need_node
  need_python
  local files file
  run "$out/venv/bin/shellcheck" --external-sources --check-sourced tests/run .ci/run tests/interop/autobahn/*.sh \
    adapters/embedded/examples/board/run.sh
  mapfile -t files < <(git ls-files '*.mjs' '*.js')
  for file in "${files[@]}"; do run node --check "$file"; done
  mapfile -t files < <(git ls-files '*.py' tests/size/run)
  run "$python" -c 'import ast, sys
for name in sys.argv[1:]: ast.parse(open(name, encoding="utf-8").read(), name)' "${files[@]}"
}

part_build() {
  need_programs
}

part_ws_client() {
  need_node
  need_programs
  run node tests/interop/ws-client.mjs
}

part_ws_browser() {
  need_node
  need_chromium
  need_firefox
  need_programs
  run node tests/interop/ws-browser.mjs
}

part_ws_server() {
  need_node
  need_programs
  run node tests/interop/ws-server.mjs
}

part_ws_python() {
  need_python
  need_programs
  run "$python" tests/interop/ws.py
}

part_eventsource() {
  need_node
  need_programs
  run node tests/interop/eventsource.mjs
}

part_polling() {
  need_node
  need_programs
  run node tests/interop/polling.mjs
}

part_http() {
  need_node
  need_programs
  run node tests/interop/http-errors.mjs
}

part_autobahn() {
  need node
  need python3
  need_programs
  run node tests/interop/autobahn.mjs "$out/autobahn"
}

# All 517 cases, by name only: the large ones of permessage-deflate take minutes.
part_autobahn_full() {
  need node
  need python3
  need_programs
  run node tests/interop/autobahn.mjs "$out/autobahn" --full
}

part_std() {
  need_node
  need_python
  need_programs
  run node tests/interop/std.mjs "$python"
}

# With a certificate that is made now, and trusted by nobody else.
part_tls() {
  need_node
  need_python
  need_programs
  run "$bin/certificate" "$out/tls"
  run "$bin/certificate" "$out/tls/other"
  TLS=$out/tls run node tests/interop/tls.mjs
  run "$python" tests/interop/tls.py "$out/tls"
}

# The demo as people build it, in Chromium.
demo() {
  need_node
  need_chromium
  run cargo build --locked --release -p stillwire-cli
  run node tests/interop/demo.mjs --binary "$(target_dir)/release/stillwire" "$@"
}

part_demo() {
  demo
}

part_screenshot() {
  demo --screenshot "$out/screenshots"
  mkdir -p docs
  run cp "$out/screenshots/demo-light.png" docs/demo.png
}
