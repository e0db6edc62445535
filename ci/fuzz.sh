#!/usr/bin/env bash
# Runs every fuzz target for a while, or those named; a finding is left in DIR/artifacts and ends it with 1. Where there is
# no C++ compiler, it says so and goes on. (`cargo fuzz run --fuzz-dir ci/fuzz TARGET` works as well.)
#
#   ci/fuzz.sh [--seconds N] [--dir DIR] [TARGET...]      N: seconds for each target, 10 unless told
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

seconds=10 targets=()
all=(record journal segment dot_reader command reply conversation session proxy_header xclient address header mime template
  injection dns_answer mta_sts sender_auth certificate websocket)
dir=${CARGO_TARGET_DIR:-$PWD/target}/fuzz
while [ $# -gt 0 ]; do
  case $1 in
    --seconds) seconds=$2; shift 2 ;;
    --dir) dir=$2; shift 2 ;;
    -*) sed -n '2,5p' "$0"; exit 2 ;;
    *) targets+=("$1"); shift ;;
  esac
done
[ ${#targets[@]} -gt 0 ] || targets=("${all[@]}")
mkdir -p "$dir"; dir=$(cd "$dir" && pwd)
host=$(rustc -vV | sed -n 's/^host: //p')
command -v c++ > /dev/null || { echo 'skipped: no C++ compiler, which libFuzzer needs'; exit 0; }
# What cargo-fuzz does, without a tool to install: the compiler counts the edges that are taken.
coverage=(-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters
  -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares --cfg=fuzzing)
RUSTFLAGS="${coverage[*]}" CARGO_TARGET_DIR=$dir cargo build --locked --quiet --release --target "$host" \
  --manifest-path ci/fuzz/Cargo.toml --bins
for target in "${targets[@]}"; do
  mkdir -p "$dir/artifacts/$target" "$dir/corpus/$target"
  words=() dictionary=ci/fuzz/dictionaries/$target.dict
  [ ! -f "$dictionary" ] || words=("-dict=$dictionary")
  if ! FUZZ_SEEDS=$dir/corpus/$target "$dir/$host/release/$target" -max_total_time="$seconds" -rss_limit_mb=1024 -max_len=65536 -timeout=10 \
    -print_final_stats=1 ${words[@]+"${words[@]}"} -artifact_prefix="$dir/artifacts/$target/" "$dir/corpus/$target" > "$dir/$target.log" 2>&1; then
    grep -aE 'panicked|assert|ERROR|left:|right:' "$dir/$target.log" | head -10
    echo "$target: a finding, see $dir/$target.log and $dir/artifacts/$target"; exit 1
  fi
  echo "$target: $(sed -n 's/^stat::number_of_executed_units: *//p' "$dir/$target.log") inputs in $seconds s, nothing found"
done
