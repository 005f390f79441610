# shellcheck shell=bash
# What a part needs before it can run: installed once, kept as long as what asks for it stays the same.

# Says what is run, then runs it.
run() {
  printf '$'
  printf ' %q' "$@"
  printf '\n'
  "$@"
}

# fresh NAME FILE...: whether NAME was installed, to its end, from these very files. If not, install it and then say so with
# installed NAME FILE...
stamp() { cat "${@:2}" | cksum; }
fresh() {
  if [ "$(cat "$out/$1.stamp" 2>/dev/null)" = "$(stamp "$@")" ]; then return; fi
  rm -f "$out/$1.stamp"
  return 1
}
installed() { stamp "$@" >"$out/$1.stamp"; }

need() { command -v "$1" >/dev/null || skip "$1 is not installed"; }

# npm's packages of tests/interop, from its lock file.
need_node() {
  need node
  need npm
  if [ -e "$tests/interop/node_modules/.package-lock.json" ] && fresh npm "$tests/interop/package-lock.json"; then return; fi
  rm -f "$out/npm.stamp"
  (cd "$tests/interop" && run npm ci --no-audit --no-fund --ignore-scripts)
  installed npm "$tests/interop/package-lock.json"
}

# A virtual environment with tests/interop/requirements.txt; its python is then $python.
need_python() {
  need python3
  python=$out/venv/bin/python
  if "$python" -c '' 2>/dev/null && fresh venv "$tests/interop/requirements.txt"; then return; fi
  rm -rf "$out/venv" "$out/venv.stamp"
  run python3 -m venv "$out/venv"
  run "$python" -m pip install --quiet --disable-pip-version-check -r "$tests/interop/requirements.txt"
  installed venv "$tests/interop/requirements.txt"
}

# need_debian PROGRAM REASON PACKAGE...: a program from Debian's packages, where we may install them; else REASON is why
# the part is skipped.
need_debian() {
  if command -v "$1" >/dev/null; then return; fi
  if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then skip "$2"; fi
  run env DEBIAN_FRONTEND=noninteractive apt-get -q -o Acquire::Retries=3 update
  run env DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends -o Acquire::Retries=3 install "${@:3}"
}

# need_tool NAME VERSION: a cargo subcommand of our own, built once into tests/out/tools, in front of others on the PATH.
need_tool() {
  if ! [ -x "$out/tools/bin/$1" ]; then
    run cargo install --locked --root "$out/tools" --target-dir "$(target_dir)/tools" --version "$2" "$1"
  fi
  PATH=$out/tools/bin:$PATH
}

# A Chromium; CHROMIUM is then its path.
need_chromium() {
  if [ -n "${CHROMIUM-}" ]; then return; fi
  need_debian chromium 'no Chromium: install one, or say where it is with CHROMIUM=PATH' chromium
  CHROMIUM=$(command -v chromium)
  export CHROMIUM
}

# A Firefox; FIREFOX is then its path.
need_firefox() {
  if [ -n "${FIREFOX-}" ]; then return; fi
  need_debian firefox-esr 'no Firefox: install one, or say where it is with FIREFOX=PATH' firefox-esr
  FIREFOX=$(command -v firefox-esr)
  export FIREFOX
}
