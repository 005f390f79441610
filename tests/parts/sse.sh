# shellcheck shell=bash
# Server-Sent Events: the vectors, and other people's readers and servers.

part_vectors() {
  need_programs
  run "$bin/vectors" tests/vectors/sse.json tests/vectors/sse-client.json
}

part_sse_client() {
  need_node
  need_programs
  run node tests/interop/sse-client.mjs
}

part_sse_browser() {
  need_node
  need_chromium
  need_programs
  run node tests/interop/sse-browser.mjs
}
