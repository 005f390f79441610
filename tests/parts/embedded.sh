# shellcheck shell=bash
# The parts for microcontrollers: bare-metal targets, an emulator, the firmware in it, and how large it all is.
#
# A target that rustup has, or can get, is used. Where rustup can download nothing, Debian's compiler for browsers (rustc-web)
# and its own source (rust-web-src) are unpacked into tests/out, core is built from it once per target, and rustup is told
# about it under the name stillwire-embedded; nothing else changes. (core belongs to its exact compiler: rustup's own cannot
# build another one's.)

bare_metal=(thumbv6m-none-eabi thumbv7m-none-eabi thumbv7em-none-eabihf riscv32imc-unknown-none-elf)

# need_targets TARGET...: $bare is then how cargo is called for them.
need_targets() {
  local target folder
  folder=$(rustc --print sysroot)/lib/rustlib
  bare=(cargo)
  for target in "$@"; do
    if [ -z "${STILLWIRE_PRIVATE_TOOLCHAIN-}" ]; then
      if compgen -G "$folder/$target/lib/libcore-*.rlib" >/dev/null; then continue; fi
      if command -v rustup >/dev/null && run timeout 120 rustup target add "$target"; then continue; fi
    fi
    private_toolchain "$@"
    bare=(cargo +stillwire-embedded)
    return
  done
}

# The version of a Debian package that could be had.
candidate() { apt-cache policy "$1" 2>/dev/null | awk '/Candidate:/ && $2 != "(none)" { print $2 }'; }

need_lists() {
  if [ -n "$(candidate "$1")" ]; then return; fi
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then run apt-get -q update; fi
  [ -n "$(candidate "$1")" ] || skip "$2"
}

# unpack FOLDER PACKAGE...: Debian packages, not installed but unpacked.
unpack() {
  local packages package
  packages=$(mktemp -d)
  (cd "$packages" && run apt-get -q -o APT::Sandbox::User=root -o Acquire::Retries=3 download "${@:2}")
  mkdir -p "$1"
  for package in "$packages"/*.deb; do
    case ${package##*/} in
      # Only a fifth of it is needed.
      rust-web-src_*) dpkg-deb --fsys-tarfile "$package" | tar -x -C "$1" --wildcards './usr/src/rustc-*/library' ;;
      *) dpkg-deb -x "$package" "$1" ;;
    esac
  done
  rm -r "$packages"
}

depends() { apt-cache depends "$1" | awk -v what="Depends: $2" 'index($0, what) { print $2 }'; }

private_toolchain() {
  command -v rustup >/dev/null || skip 'there is no rustup, and no target for microcontrollers'
  need_lists rust-web-src "rustup can get no target for microcontrollers, and there is no package rust-web-src"
  local version folder=$out/embedded lld triple=x86_64-linux-gnu host=x86_64-unknown-linux-gnu source file
  version=$(candidate rustc-web)
  local tree=$folder/rust/usr
  if [ "$(cat "$folder/rust.stamp" 2>/dev/null)" != "$version" ]; then
    rm -rf "$folder/rust" "$folder"/*.stamp
    local std llvm git2 more
    std=$(depends libstd-rust-web-dev libstd-rust-web-)
    llvm=$(depends "$std" libllvm)
    git2=$(depends cargo-web libgit2-)
    more=$(depends "$git2" libmbed; depends "$git2" libhttp-parser)
    more+=$'\n'$(for file in $more; do depends "$file" libmbed; done)
    local packages
    mapfile -t packages < <(printf '%s\n' rustc-web cargo-web rust-web-src libstd-rust-web-dev \
      "$std" "$llvm" "$git2" "$more" | sort -u | sed '/^$/d')
    unpack "$folder/rust" "${packages[@]}"
    # rustup puts TOOLCHAIN/lib into the loader's path; Debian's libraries lie one folder deeper.
    for file in "$tree/lib/$triple"/*.so*; do ln -sf "$triple/${file##*/}" "$tree/lib/${file##*/}"; done
    # Where -Zbuild-std looks for the source.
    source=$(compgen -G "$tree/src/rustc-*")
    mkdir -p "$tree/lib/rustlib/src" "$tree/lib/rustlib/$host/bin"
    ln -sfn "../../../src/${source##*/}" "$tree/lib/rustlib/src/rust"
    # The targets link with rust-lld; rustup's own toolchain has one.
    lld=$(rustc --print sysroot)/lib/rustlib/$host/bin/rust-lld
    [ -x "$lld" ] || skip "the toolchain has no rust-lld"
    ln -sf "$lld" "$tree/lib/rustlib/$host/bin/rust-lld"
    echo "$version" >"$folder/rust.stamp"
  fi
  if ! rustup toolchain list -v | grep -qE "^stillwire-embedded.*$tree\$"; then
    rustup toolchain uninstall stillwire-embedded >/dev/null 2>&1 || true
    run rustup toolchain link stillwire-embedded "$tree"
  fi
  local target missing=()
  for target in "$@"; do [ -e "$folder/$target.stamp" ] || missing+=("$target"); done
  if [ ${#missing[@]} != 0 ]; then build_core "$tree" "${missing[@]}"; fi
}

# build_core TREE TARGET...: core and alloc as rustup would have brought them: optimised, with bitcode for link-time
# optimisation. From then on every build is an ordinary one, without unstable options.
build_core() {
  local seed=$out/embedded/seed target to
  mkdir -p "$seed/src"
  printf '#![no_std]\n' >"$seed/src/lib.rs"
  printf '%s\n' '[workspace]' '[package]' 'name = "seed"' 'version = "0.0.0"' 'edition = "2021"' \
    '[profile.release]' 'opt-level = 3' 'codegen-units = 1' 'panic = "abort"' >"$seed/Cargo.toml"
  local arguments=()
  for target in "${@:2}"; do arguments+=(--target "$target"); done
  (cd "$seed" && RUSTC_BOOTSTRAP=1 RUSTFLAGS="-Cembed-bitcode=yes --remap-path-prefix=$1/lib/rustlib/src/rust=/rust" \
    run cargo +stillwire-embedded build -q --release --target-dir "$seed/target" \
    -Zbuild-std=core,alloc,panic_abort -Zbuild-std-features=compiler-builtins-mem "${arguments[@]}")
  for target in "${@:2}"; do
    to=$1/lib/rustlib/$target/lib
    mkdir -p "$to"
    find "$seed/target/$target/release" -name '*.rlib' ! -name 'libseed*' -exec cp {} "$to/" \;
    touch "$out/embedded/$target.stamp"
  done
  rm -r "$seed"
}

# qemu-system-arm, from Debian if there is none: unpacked, because installing it may remove others (qemu-utils).
need_qemu() {
  if command -v qemu-system-arm >/dev/null; then return; fi
  local folder=$out/qemu packages
  if ! [ -x "$folder/bin/qemu-system-arm" ]; then
    need_lists qemu-system-arm 'there is no qemu-system-arm'
    rm -rf "$folder"
    mapfile -t packages < <({ printf '%s\n' qemu-system-arm qemu-system-common qemu-system-data
      apt-get install -s --no-install-recommends qemu-system-arm | awk '/^Inst / { print $2 }'; } | sort -u)
    unpack "$folder" "${packages[@]}"
    mkdir -p "$folder/bin"
    cat >"$folder/bin/qemu-system-arm" <<'LAUNCHER'
#!/bin/sh
tree=$(cd "$(dirname "$0")/.." && pwd)
export LD_LIBRARY_PATH="$tree/usr/lib/x86_64-linux-gnu:$tree/lib/x86_64-linux-gnu"
exec "$tree/usr/bin/qemu-system-arm" -L "$tree/usr/share/qemu" "$@"
LAUNCHER
    chmod +x "$folder/bin/qemu-system-arm"
  fi
  PATH=$folder/bin:$PATH
  run qemu-system-arm --version
}

# Each machine in a static library without std and allocator, and the drivers, for four kinds of microcontroller.
part_bare_metal() {
  local target
  need_targets "${bare_metal[@]}"
  run cp Cargo.lock tests/nostd/Cargo.lock
  for target in "${bare_metal[@]}"; do
    run "${bare[@]}" build --manifest-path tests/nostd/Cargo.toml --target-dir "$(target_dir)/nostd" --target "$target" --release
    run "${bare[@]}" check --locked -p stillwire-embedded --target "$target"
  done
  run "${bare[@]}" check --locked -p stillwire-embedded --target thumbv6m-none-eabi --features embassy-time,defmt
  run cargo fmt --manifest-path adapters/embedded/examples/embassy/Cargo.toml --check
  run "${bare[@]}" check --locked --manifest-path adapters/embedded/examples/embassy/Cargo.toml \
    --target-dir "$(target_dir)/embassy" --target thumbv7em-none-eabihf
}

free_port() {
  "$python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# boot COMMAND...: starts an emulated board in the background and waits until it says that it listens; unboot ends it.
boot() {
  "$@" >"$out/board.log" 2>&1 &
  board=$!
  trap unboot EXIT
  local i
  for ((i = 0; i < 1800; i++)); do
    if grep -q '^listening' "$out/board.log"; then return; fi
    kill -0 "$board" 2>/dev/null || break
    sleep 0.1
  done
  cat "$out/board.log"
  return 1
}

unboot() {
  if [ -z "${board-}" ]; then return; fi
  kill "$board" 2>/dev/null || true
  wait "$board" 2>/dev/null || true
  board=''
}

# The largest message of the firmware's echo.
board_limit() { sed -n 's/^pub const MAX_MESSAGE: usize = \(.*\);/\1/p' adapters/embedded/examples/board/src/slot.rs; }

# board_part BOARD TARGET CLIENTS...
on_board() {
  local port
  port=$(free_port)
  export BOARD_CARGO=${bare[*]} CARGO_TARGET_DIR
  CARGO_TARGET_DIR=$(target_dir)/board
  boot adapters/embedded/examples/board/run.sh "$1" "$port"
  "${@:2}" "http://127.0.0.1:$port"
  unboot
}

clients() {
  run "$python" tests/interop/board.py "$1" adapters/embedded/examples/board/src/page.html "$(board_limit)"
}

# It boots, and serves its page.
page() {
  run curl --silent --show-error --fail --retry 5 --retry-all-errors --output /dev/null "$1/"
}

# The cases that are left out have messages of 65,535 bytes and more; that such are refused with 1009, board.py shows.
all_clients() {
  clients "$1"
  run node tests/interop/board.mjs "$1" "$(board_limit)"
  VENV=$out/autobahn/venv OUT=$out/autobahn/board AGENT=board ENGINE=kosoku PARALLEL=1 LIMIT=200 CHECK=--strict \
    CASES='1.*,2.*,3.*,4.*,5.*,6.*,7.*' EXCLUDE='1.1.6,1.1.7,1.1.8,1.2.6,1.2.7,1.2.8' \
    run tests/interop/autobahn/run-server.sh "ws://${1#http://}/echo"
  if grep -q '^panic' "$out/board.log"; then cat "$out/board.log"; return 1; fi
}

# The board connects to the echo of interop-server.
board_as_client() {
  local server port
  need_programs
  coproc SERVER { "$INTEROP_SERVER" --only ws; }
  server=$SERVER_PID
  read -r port <&"${SERVER[0]}"
  port=${port##*:} port=${port%%\"*}
  run timeout 300 adapters/embedded/examples/board/run.sh --client lm3s6965evb "$port" | tee "$out/board.log"
  kill "$server"
  grep -q '^100 messages came back' "$out/board.log"
}

part_firmware() {
  need_targets thumbv7m-none-eabi thumbv7em-none-eabihf
  need_qemu
  need_python
  need_node
  need_chromium
  need curl
  run cargo fmt --manifest-path adapters/embedded/examples/board/Cargo.toml --check
  on_board lm3s6965evb all_clients
  on_board mps2-an386 page
  board_as_client
}

# The same program on the host and on a board: what it says must be the same.
part_board_replay() {
  local there
  need_targets thumbv7em-none-eabihf
  need_qemu
  run cargo fmt --manifest-path tests/replay/Cargo.toml --check
  rm -rf "$out/replay"
  REPLAY=$out/replay there=$(target_dir)/replay
  run cargo run --locked -p stillwire-tests --bin seeds -- "$REPLAY"
  export REPLAY
  local build=(build --locked --release --manifest-path tests/replay/Cargo.toml --target-dir "$there")
  run cargo "${build[@]}"
  run "${bare[@]}" "${build[@]}" --target thumbv7em-none-eabihf
  "$there/release/stillwire-replay" >"$out/replay/host.txt"
  timeout 120 qemu-system-arm -M mps2-an386 -nographic -monitor none -serial null \
    -semihosting-config enable=on,target=native \
    -kernel "$there/thumbv7em-none-eabihf/release/stillwire-replay" >"$out/replay/board.txt" 2>"$out/replay/errors.txt"
  grep -q '[0-9a-f]' "$out/replay/host.txt" || { echo 'nothing was replayed'; return 1; }
  run cmp "$out/replay/host.txt" "$out/replay/board.txt"
  echo "$(wc -l <"$out/replay/board.txt") passed, 0 failed"
}

# How large each endpoint is; its limits stand in tests/size/run.
part_flash() { sizes_of; }

# With the peers, into the table of docs/firmware.md.
part_flash_table() { sizes_of --peers; }

sizes_of() {
  need_targets thumbv7em-none-eabihf
  need_qemu
  need python3
  need_debian llvm-objdump "there is no llvm-objdump" llvm
  need_debian size "there is no size" binutils
  run cargo fmt --manifest-path tests/size/Cargo.toml --check
  export CARGO_COMMAND=${bare[*]} CARGO_TARGET_DIR
  CARGO_TARGET_DIR=$(target_dir)/size
  run python3 tests/size/run "$@"
}
