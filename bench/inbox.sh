#!/usr/bin/env bash
# How many messages a second the inbox takes, in memory and in a database, and what a core works for each: loadgen against
# `ringmta sandbox` on free ports; programs that are built already with BIN=FOLDER. Then lists and searches over many messages
# in a database (examples/figures.rs).
#
#   bench/inbox.sh [--count 100000] [--size 2k] [--connections 32] [--profile dist] [--no-searches]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
count=100000 size=2k connections=32 profile=dist searches=yes
while [ $# -gt 0 ]; do
  case $1 in
    --count) count=$2; shift ;;
    --size) size=$2; shift ;;
    --connections) connections=$2; shift ;;
    --profile) profile=$2; shift ;;
    --no-searches) searches= ;;
    *) sed -n '2,/^[^#]/{/^#/p}' "$0"; exit 2 ;;
  esac
  shift
done
[ "$profile" = dev ] && folder=debug || folder=$profile
bin=${BIN:-${CARGO_TARGET_DIR:-target}/$folder}
[ -n "${BIN:-}" ] || cargo build --quiet --locked --profile "$profile" -p ringmta -p loadgen
dir=$(mktemp -d -p "${TMPDIR:-/var/tmp}")
inbox=
finish() {
  [ -z "$inbox" ] || kill "$inbox" 2> /dev/null || true
  rm -rf "$dir"
}
trap finish EXIT

# Clock ticks that cores have worked for the process.
ticks() { awk '{ sub(/.*\) /, ""); print $12 + $13 }' "/proc/$1/stat"; }

intake() {
  local name=$1 port before after start took
  shift
  "$bin/ringmta" sandbox -s 127.0.0.1:0 -l 127.0.0.1:0 "$@" 2> "$dir/said" &
  inbox=$!
  until port=$(sed -n 's/.*smtp listener on .*://p' "$dir/said") && [ -n "$port" ]; do
    kill -0 "$inbox" || { cat "$dir/said"; exit 1; }
    sleep 0.1
  done
  before=$(ticks "$inbox") start=$(date +%s%N)
  "$bin/loadgen" source --target "127.0.0.1:$port" -c "$connections" -n "$count" --size "$size" > "$dir/source" 2>&1 ||
    { cat "$dir/source"; exit 1; }
  took=$((($(date +%s%N) - start) / 1000000)) after=$(ticks "$inbox")
  awk -v name="$name" -v n="$count" -v ms="$took" -v ticks=$((after - before)) -v hz="$(getconf CLK_TCK)" -v kb="$(awk '/VmHWM/ { print $2 }' "/proc/$inbox/status")" \
    'BEGIN { printf "%-12s %6.0f messages/s, %4.0f us of a core for each, %4.0f MB at most\n", name, n * 1000 / ms, ticks / hz * 1e6 / n, kb / 1024 }'
  kill "$inbox"
  wait "$inbox" || true
  inbox=
}

intake 'in memory'
intake 'in a database' --database "$dir/inbox.db" --max 0
if [ -n "$searches" ]; then
  cargo run --quiet --locked --profile "$profile" -p ringmta-sandbox --example figures -- "$count" "$connections"
fi
