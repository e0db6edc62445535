#!/usr/bin/env bash
# Runs every fuzz target for a while, or those named; a finding is left in DIR/artifacts and ends it with 1. Where there is
# no C++ compiler, it says so and goes on. (`cargo fuzz run --fuzz-dir ci/fuzz TARGET` works as well.)
#
#   ci/fuzz.sh [--seconds N] [--dir DIR] [--record] [TARGET...]      N: seconds for each target, 10 unless told
#   ci/fuzz.sh --table      how long each target has run in all
# With --record the seconds of CPU that a target has used are written down in ci/fuzz/time.tsv, from which the table adds
# them up: beside other work a target gets less of them than the clock says.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

seconds=10 targets=() record='' times=ci/fuzz/time.tsv
all=(record journal segment dot_reader command reply conversation session proxy_header xclient address header mime template
  injection dns_answer mta_sts sender_auth certificate websocket http_request
  http_answer)
dir=${CARGO_TARGET_DIR:-$PWD/target}/fuzz
while [ $# -gt 0 ]; do
  case $1 in
    --seconds) seconds=$2; shift 2 ;;
    --dir) dir=$2; shift 2 ;;
    --record) record=yes; shift ;;
    --table) awk -F'\t' '!/^#/ { time[$2] += $3; inputs[$2] += $4 }
      END { for (of in time) printf "| `%s` | %d | %d |\n", of, time[of] / 60, inputs[of] }' "$times" | sort \
      | { printf '| target | minutes | inputs |\n|---|---|---|\n'; cat; }; exit ;;
    -*) sed -n '2,/^[^#]/{/^#/p}' "$0"; exit 2 ;;
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
  run=("$dir/$host/release/$target" -max_total_time="$seconds" -rss_limit_mb=1024 -max_len=65536 -timeout=60 -report_slow_units=3 -print_final_stats=1
    ${words[@]+"${words[@]}"} -artifact_prefix="$dir/artifacts/$target/" "$dir/corpus/$target")
  : > "$dir/$target.began"
  if ! { FUZZ_SEEDS=$dir/corpus/$target TIMEFORMAT='%U %S'; export FUZZ_SEEDS; time "${run[@]}" > "$dir/$target.log" 2>&1; } 2> "$dir/$target.time"
  then
    grep -aE 'panicked|assert|ERROR|left:|right:' "$dir/$target.log" | head -10
    echo "$target: a finding, see $dir/$target.log and $dir/artifacts/$target"; exit 1
  fi
  # An input that took long by the clock may have waited for a busy machine; one that takes long by itself is a finding.
  while IFS= read -r slow; do
    spent=$( { TIMEFORMAT='%U'; time "${run[0]}" "$slow" > /dev/null 2>&1; } 2>&1 )
    [ "${spent%.*}" -lt 2 ] || { echo "$target: an input that takes $spent s of CPU, see $slow"; exit 1; }
  done < <(find "$dir/artifacts/$target" -name 'slow-unit-*' -newer "$dir/$target.began")
  inputs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$dir/$target.log")
  cpu=$(awk '{ printf "%d", $1 + $2 }' "$dir/$target.time")
  [ -z "$record" ] || printf '%s\t%s\t%s\t%s\n' "$(date +%F)" "$target" "$cpu" "$inputs" >> "$times"
  echo "$target: $inputs inputs in $seconds s ($cpu s of CPU), nothing found"
done
