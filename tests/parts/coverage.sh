# shellcheck shell=bash
# Parts that run only when they are named: how much of the core the tests reach, and whether they would notice.

# need_tool NAME VERSION: a cargo subcommand of the project's own, built once into tests/out/tools.
need_tool() {
  local program=$out/tools/bin/$1
  if "$program" --version >/dev/null 2>&1 || [ -x "$program" ]; then return; fi
  run cargo install --locked --root "$out/tools" --version "$2" "$1"
}

# The LLVM tools that match the compiler: LLVM_COV and LLVM_PROFDATA are then their paths.
need_llvm() {
  local version
  version=$(rustc -vV | sed -n 's/^LLVM version: \([0-9]*\).*/\1/p')
  if ! command -v "llvm-cov-$version" >/dev/null; then
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
      skip "no llvm-cov-$version, which matches this compiler"
    fi
    run env DEBIAN_FRONTEND=noninteractive apt-get -q -o Acquire::Retries=3 update
    run env DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends install "llvm-$version"
  fi
  LLVM_COV=$(command -v "llvm-cov-$version") LLVM_PROFDATA=$(command -v "llvm-profdata-$version")
  export LLVM_COV LLVM_PROFDATA
}

# Lines of the core, by everything that `cargo test` runs; below 95 % it fails.
part_coverage() {
  need_llvm
  need_tool cargo-llvm-cov 0.9.1
  local cov=("$out/tools/bin/cargo-llvm-cov" llvm-cov --locked --ignore-filename-regex '/(tests|adapters|registry|rustc)/')
  run "${cov[@]}" --no-report -p stillwire -p stillwire-tests
  run "${cov[@]}" report --fail-under-lines 95
}

# Mutants of the machines: what no test notices is listed in tests/out/mutants, and what is known in tests/mutants.md.
part_mutants() {
  need_tool cargo-mutants 27.1.0
  run "$out/tools/bin/cargo-mutants" mutants --no-shuffle --output "$out/mutants" --package stillwire \
    --file 'core/src/ws/**' --file 'core/src/sse/**' --file 'core/src/http/**' \
    --test-package stillwire --test-package stillwire-tests
}
