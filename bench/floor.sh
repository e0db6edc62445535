#!/usr/bin/env bash
# What a 10 KB message costs a program that does nothing but SMTP: loadgen's sink takes it from smtp-source, loadgen's source
# gives it to smtp-sink. Their sum is what a relay would cost that stores nothing, decides nothing and tells nobody.
#
#   bench/floor.sh [--count N] [--connections N] [--size BYTES] [--one-per-connection]
#
# CPU is user+system of all threads, from the first message to the last.
set -euo pipefail
cd "$(dirname "$0")/.."

count=50000 connections=50 size=10240 many=(-d) per=()
while [ $# -gt 0 ]; do
  case $1 in
    --count) count=$2; shift 2 ;;
    --connections) connections=$2; shift 2 ;;
    --size) size=$2; shift 2 ;;
    --one-per-connection) many=() per=(--messages-per-connection 1); shift ;;
    *) sed -n '2,7p' "$0"; exit 2 ;;
  esac
done
bin=${BIN:-target/dist}
[ -x "$bin/loadgen" ] || cargo build --profile dist -p loadgen
export PATH=$PATH:/usr/sbin
work=$(mktemp -d) pids=() address=127.0.0.1:22600
finish() { kill "${pids[@]}" 2> /dev/null || true; wait 2> /dev/null || true; rm -rf "$work"; }
trap finish EXIT

listening() {
  for _ in $(seq 100); do
    if (exec 9<> "/dev/tcp/${address%:*}/${address#*:}") 2> /dev/null; then return; fi
    sleep 0.1
  done
  echo "nothing listens on $address"; exit 1
}
# CPU of process $1 in clock ticks.
ticks() { awk '{ print $14 + $15 }' "/proc/$1/stat"; }
told() {
  awk -v n="$count" -v t="$2" -v hz="$(getconf CLK_TCK)" -v what="$1" 'BEGIN { printf "%-40s %6.1f us of CPU per message\n", what, t * 1e6 / hz / n }'
}

"$bin/loadgen" sink --listen "$address" > "$work/sink.out" 2>&1 & sink=$!
pids+=("$sink"); listening
before=$(ticks "$sink")
smtp-source -s "$connections" -m "$count" -l "$size" -N "${many[@]}" -f a@src.example -t b@dst.example "$address"
received=$(($(ticks "$sink") - before))
kill "$sink"; wait "$sink" 2> /dev/null || true; pids=()

user=(); [ "$(id -u)" = 0 ] && user=(-u nobody)
smtp-sink "${user[@]}" "$address" 1000 & pids+=($!); listening
TIMEFORMAT='%U %S'
{ time "$bin/loadgen" source --target "$address" -c "$connections" -n "$count" --size "$size" "${per[@]}" --quiet > "$work/source.out" 2>&1; } 2> "$work/time"
sent=$(awk -v hz="$(getconf CLK_TCK)" '{ printf "%d", ($1 + $2) * hz }' "$work/time")
told "receive (smtp-source to loadgen sink)" "$received"
told "send (loadgen source to smtp-sink)" "$sent"
told "both" $((received + sent))
