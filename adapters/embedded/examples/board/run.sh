#!/usr/bin/env bash
# Builds the firmware and boots it in QEMU; the board's port 80 is then 127.0.0.1:PORT (default 8080).
#
#   run.sh [lm3s6965evb|mps2-an386] [PORT]
#   run.sh --client [BOARD] [PORT]          the other way: the board connects to a WebSocket echo at 127.0.0.1:PORT
#
# Needed: qemu-system-arm, and `rustup target add thumbv7m-none-eabi thumbv7em-none-eabihf`. BOARD_CARGO (default: cargo) is
# how cargo is called. End it with Ctrl-C.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
program=board forward=hostfwd=tcp:127.0.0.1:PORT-:80
if [ "${1-}" = --client ]; then
  program=client forward=guestfwd=tcp:10.0.2.100:9001-tcp:127.0.0.1:PORT
  shift
fi
board=${1:-lm3s6965evb} port=${2:-8080}
case $board in
  lm3s6965evb) target=thumbv7m-none-eabi nic=stellaris ;;
  mps2-an386) target=thumbv7em-none-eabihf nic=lan9118 ;;
  *) echo "no such board: $board" >&2; exit 2 ;;
esac
read -ra cargo <<<"${BOARD_CARGO:-cargo}"
folder=${CARGO_TARGET_DIR:-$here/target}
"${cargo[@]}" build --release --locked --manifest-path "$here/Cargo.toml" --target-dir "$folder" --target "$target" \
  --no-default-features --features "$board" --bin "$program"
exec qemu-system-arm -M "$board" -nographic -monitor none -serial null \
  -semihosting-config enable=on,target=native \
  -nic "user,model=$nic,restrict=on,${forward/PORT/$port}" \
  -kernel "$folder/$target/release/$program"
