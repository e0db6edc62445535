#!/usr/bin/env bash
# What the load tools cost themselves: loadgen's source against its sink, smtp-source against smtp-sink, in turn.
#
#   bench/tools.sh [--count N] [--connections N] [--size BYTES] [--runs N]
#
# CPU is user+system of each program, per message; the median of the runs. Nothing but SMTP is between them.
set -euo pipefail
cd "$(dirname "$0")/.."

count=50000 connections=50 size=10240 runs=3
while [ $# -gt 0 ]; do
  case $1 in
    --count) count=$2; shift 2 ;;
    --connections) connections=$2; shift 2 ;;
    --size) size=$2; shift 2 ;;
    --runs) runs=$2; shift 2 ;;
    *) sed -n '2,6p' "$0"; exit 2 ;;
  esac
done
bin=${BIN:-target/dist}
[ -x "$bin/loadgen" ] || cargo build --profile dist -p loadgen
export PATH=$PATH:/usr/sbin
work=$(mktemp -d) sink='' address=127.0.0.1:22600
finish() { [ -z "$sink" ] || kill "$sink" 2> /dev/null || true; wait 2> /dev/null || true; rm -rf "$work"; }
trap finish EXIT

listening() {
  for _ in $(seq 100); do
    if (exec 9<> "/dev/tcp/${address%:*}/${address#*:}") 2> /dev/null; then return; fi
    sleep 0.1
  done
  echo "nothing listens on $address"; exit 1
}
ticks() { awk '{ print $14 + $15 }' "/proc/$1/stat"; }
hz=$(getconf CLK_TCK)
# Microseconds per message: $2 clock ticks, appended to the file of $1.
note() { awk -v n="$count" -v t="$2" -v hz="$hz" 'BEGIN { printf "%.1f\n", t * 1e6 / hz / n }' >> "$work/$1"; }
# Runs the source given as arguments; its CPU goes to the file of $1, that of the sink to the file of $2.
measure() {
  local source=$1 taker=$2 before; shift 2
  listening
  before=$(ticks "$sink")
  TIMEFORMAT='%U %S'
  { time "$@" > "$work/out" 2>&1; } 2> "$work/time" || { cat "$work/out"; exit 1; }
  note "$source" "$(awk -v hz="$hz" '{ printf "%d", ($1 + $2) * hz }' "$work/time")"
  note "$taker" $(($(ticks "$sink") - before))
  kill "$sink"; wait "$sink" 2> /dev/null || true; sink=''
}

user=(); [ "$(id -u)" = 0 ] && user=(-u nobody)
for _ in $(seq "$runs"); do
  "$bin/loadgen" sink --listen "$address" > /dev/null 2>&1 & sink=$!
  measure loadgen-source loadgen-sink "$bin/loadgen" source --target "$address" -c "$connections" -n "$count" --size "$size" --quiet
  smtp-sink "${user[@]}" "$address" 1000 & sink=$!
  measure smtp-source smtp-sink smtp-source -d -s "$connections" -m "$count" -l "$size" -N -f a@src.example -t b@dst.example "$address"
done
median() { sort -n "$work/$1" | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }
for pair in 'loadgen-source smtp-source' 'loadgen-sink smtp-sink'; do
  read -r ours theirs <<< "$pair"
  awk -v a="$ours" -v b="$theirs" -v x="$(median "$ours")" -v y="$(median "$theirs")" \
    'BEGIN { printf "%-16s %6.1f us   %-12s %6.1f us   %.1f times\n", a, x, b, y, y / x }'
done
