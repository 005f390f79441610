# shellcheck shell=bash
# Fuzzing, a little each time: each target gets some seconds from the seeds of the transcripts on.

# The dictionary of a target.
dictionary() {
  case $1 in
    http_*) echo http ;;
    sse_*) echo sse ;;
    ws_*) echo ws ;;
    polling_* | json) echo json ;;
  esac
}

# cargo-fuzz: the one that is installed, or one of our own in tests/out/tools.
need_cargo_fuzz() {
  need rustup
  rustup toolchain list | grep '^nightly' >/dev/null || skip 'no nightly toolchain: rustup toolchain install nightly --profile minimal'
  command -v cargo-fuzz >/dev/null || need_tool cargo-fuzz 0.13.2
}

# $1 is the target, $2 the seconds. Its last words go to $out/fuzz/TARGET.log; what it finds to tests/out/fuzz/findings.
fuzz_target() {
  local name=$1 seconds=$2 words corpus=$out/fuzz/corpus/$1
  local arguments=(-max_total_time="$seconds" -timeout=20 -rss_limit_mb=2048 -print_final_stats=1 -artifact_prefix="$out/fuzz/findings/$name/")
  words=$(dictionary "$name")
  [ -z "$words" ] || arguments+=(-dict="fuzz/dictionaries/$words.dict")
  mkdir -p "$out/fuzz/findings/$name" "$out/fuzz/found/$name"
  ASAN_OPTIONS=detect_odr_violation=0 timeout --foreground -k 10 $((seconds + 60)) "$programs/$name" "${arguments[@]}" \
    "$out/fuzz/found/$name" "$corpus" "tests/regressions/$name" >"$out/fuzz/$name.log" 2>&1
}

# One line of the table: runs, runs a second, edges and features covered, size of the corpus.
fuzz_row() {
  awk -v name="$1" '
    / cov: / { for (i = 1; i < NF; i++) if ($i == "cov:") cov = $(i + 1); else if ($i == "ft:") ft = $(i + 1); else if ($i == "corp:") corpus = $(i + 1) }
    /^stat::number_of_executed_units/ { runs = $2 }
    /^stat::average_exec_per_sec/ { rate = $2 }
    END { printf "%-20s %10s %8s %7s %7s  %s\n", name, runs, rate, cov, ft, corpus }' "$out/fuzz/$1.log"
}

# The whole part: one build, then the targets, two at a time where there are two processors.
part_fuzz() {
  need_cargo_fuzz
  local seconds=${STILLWIRE_FUZZ_SECONDS:-10} names name failed=0 workers=() jobs=1
  run cargo run --locked -q -p stillwire-tests --bin seeds -- "$out/fuzz/corpus"
  run cargo +nightly fuzz build --fuzz-dir fuzz --target-dir "$(target_dir)/fuzz"
  programs=$(target_dir)/fuzz/$(rustc -vV | sed -n 's/^host: //p')/release
  mapfile -t names < <(sed -n '/^\[\[bin/,$ s/^name = "\(.*\)"/\1/p' fuzz/Cargo.toml)
  [ "$(nproc)" = 1 ] || jobs=${STILLWIRE_FUZZ_JOBS:-2}
  finish_one() {
    local name pid
    read -r name pid <<<"${workers[0]}"
    workers=("${workers[@]:1}")
    if wait "$pid"; then
      fuzz_row "$name"
    else
      failed=1
      echo "$name FAILED:"
      tail -n 60 "$out/fuzz/$name.log"
    fi
  }
  printf '%-20s %10s %8s %7s %7s  %s\n' target runs 'runs/s' edges features corpus
  for name in "${names[@]}"; do
    [ "${#workers[@]}" -lt "$jobs" ] || finish_one
    fuzz_target "$name" "$seconds" &
    workers+=("$name $!")
  done
  while [ "${#workers[@]}" -gt 0 ]; do finish_one; done
  if [ "$failed" = 1 ]; then
    echo 'What was found lies in tests/out/fuzz/findings; fuzz/README.md says what to do with it.'
    return 1
  fi
}
