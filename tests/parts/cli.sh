# shellcheck shell=bash
# The command line's clients.

part_cli() {
  need_node
  need_programs
  run cargo build --locked -p stillwire-cli
  run "$bin/certificate" "$out/tls"
  CLI=$bin/stillwire TLS=$out/tls run node tests/interop/cli.mjs
}
