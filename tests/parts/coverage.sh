# shellcheck shell=bash
# Parts that run only when they are named: how much of the core the tests reach, and whether they would notice.

# Lines and branches of the core, by its own tests and those of tests/; below 95 % of the lines it fails. Branches are
# counted by nightly compilers only: without one, lines are all there is.
part_coverage() {
  local version cargo=(cargo) branches=()
  if rustup toolchain list 2>/dev/null | grep '^nightly' >/dev/null; then
    cargo=(cargo +nightly)
    branches=(--branch)
  fi
  version=$("${cargo[@]/#cargo/rustc}" -vV | sed -n 's/^LLVM version: \([0-9]*\).*/\1/p')
  need_debian "llvm-cov-$version" "no llvm-cov-$version, which matches this compiler" "llvm-$version"
  need_tool cargo-llvm-cov 0.9.1
  LLVM_COV=$(command -v "llvm-cov-$version") LLVM_PROFDATA=$(command -v "llvm-profdata-$version")
  export LLVM_COV LLVM_PROFDATA
  run "${cargo[@]}" llvm-cov --locked --no-report "${branches[@]}" -p stillwire -p stillwire-tests
  run "${cargo[@]}" llvm-cov report "${branches[@]}" --ignore-filename-regex '/(tests|adapters|registry|rustc)/' --fail-under-lines 95
}

# Mutants of the machines: what no test notices is listed in tests/out/mutants, and judged in tests/mutants.md. All of them
# take most of a day; STILLWIRE_MUTANTS_SHARD=3/18 takes each eighteenth. Laws get few cases: a mutant that only luck finds
# is one that a test should find.
part_mutants() {
  need_tool cargo-mutants 27.1.0
  local shard=()
  [ -z "${STILLWIRE_MUTANTS_SHARD-}" ] || shard=(--shard "$STILLWIRE_MUTANTS_SHARD" --sharding round-robin)
  run env STILLWIRE_LAW_CASES=60 PROPTEST_CASES=60 CARGO_PROFILE_DEV_OPT_LEVEL=0 CARGO_PROFILE_DEV_DEBUG=0 \
    cargo mutants --no-shuffle --baseline skip --timeout 300 "${shard[@]}" --output "$out/mutants" --package stillwire \
    --file 'core/src/ws/**' --file 'core/src/sse/**' --file 'core/src/http/**' \
    --test-package stillwire --test-package stillwire-tests -- --lib --tests
}
