#!/usr/bin/env bash
# What durability costs, and how quickly a start is over.
#
#   bench/spool.sh recovery [--count N] [--shards N]   N deferred messages of 10 KB on disk (1,000,000), kill -9, start:
#                                                      time to accepting, time to fully loaded, memory per message
#   bench/spool.sh compaction [--count N] [--shards N] N messages (1,000,000), one in a hundred waits for long: disk in
#                                                      use against bytes that wait
#   bench/spool.sh syncs [--shards N]                  writes to stable storage per message, from 10 messages/s to full load
set -euo pipefail
cd "$(dirname "$0")/.."

usage() { sed -n '2,9p' "$0"; exit 2; }
[ $# -gt 0 ] || usage
what=$1; shift
count=1000000 shards=2
while [ $# -gt 0 ]; do
  case $1 in
    --count) count=$2; shift 2 ;;
    --shards) shards=$2; shift 2 ;;
    *) usage ;;
  esac
done

bin=${BIN:-target/dist}
[ -x "$bin/ringmta" ] && [ -x "$bin/loadgen" ] || cargo build --profile dist -p ringmta -p loadgen
work=$(mktemp -d -p "${TMPDIR:-/var/tmp}")
export BENCH_DIR=$work/spool BENCH_SMTP=127.0.0.1:22525 BENCH_HTTP=127.0.0.1:28020 BENCH_SINK=127.0.0.1:22600
export RINGMTA_ALLOW_ROOT=1 BENCH_LATER=later.example BENCH_LATER_SINK=127.0.0.1:22601
mkdir -p "$BENCH_DIR"
pids=() engine=''
finish() { kill -9 $engine "${pids[@]}" 2> /dev/null || true; wait 2> /dev/null || true; rm -rf "$work"; }
trap finish EXIT

metric() { curl -s "http://$BENCH_HTTP/metrics?prefix=$1" | awk -v n="$1" '$1 == n { print $2 }'; }
seconds() { awk -v a="$1" -v b="$2" 'BEGIN { printf "%.2f", (b - a) / 1e9 }'; }
memory() { awk '/^VmRSS/ { print $2 * 1024 }' "/proc/$engine/status"; }
cpu() { awk -v hz="$(getconf CLK_TCK)" '{ print ($14 + $15) * 1e6 / hz }' "/proc/$engine/stat"; }
begin() {
  : > "$work/engine.out" # here, not by the one that is started: what the last one said must not be read
  "$bin/ringmta" run --policy bench/relay.lua --shards "$shards" >> "$work/engine.out" 2>&1 & engine=$!
  until grep -qs 'initialization complete' "$work/engine.out"; do
    kill -0 "$engine" 2> /dev/null || { cat "$work/engine.out"; exit 1; }
    sleep 0.01
  done
}
source_() { "$bin/loadgen" source --target "$BENCH_SMTP" -c 50 --size 10k "$@" --quiet > "$work/source.out" 2>&1 || { cat "$work/source.out"; exit 1; }; }
later() { "$bin/loadgen" sink --listen "$BENCH_LATER_SINK" --tempfail 100 > "$work/later.out" 2>&1 & pids+=($!); }
sink() { "$bin/loadgen" sink --listen "$BENCH_SINK" "$@" > "$work/sink.out" 2>&1 & pids+=($!); }
until_waiting() { # until only $1 messages are left
  until [ "$(metric message_count)" = "$1" ]; do sleep 0.2; done
}

recovery() {
  later; begin; local empty; empty=$(memory)
  source_ -n "$count" --domains "$BENCH_LATER"
  count=$(metric spool_committed_total) # a few are refused when attempts do not keep up
  until [ "$(metric scheduled_count_total)" = "$count" ]; do sleep 0.5; done
  sleep 1 # the journal's last batch
  local before; before=$(memory)
  kill -9 "$engine"; wait "$engine" 2> /dev/null || true
  [ -w /proc/sys/vm/drop_caches ] && echo 3 > /proc/sys/vm/drop_caches
  local start accepting loaded; start=$(date +%s%N)
  begin; loaded=$(date +%s%N)
  until curl -fs "http://$BENCH_HTTP/api/check-liveness/v1" > /dev/null; do sleep 0.01; done
  accepting=$(date +%s%N)
  [ "$(metric message_count)" = "$count" ] || { echo "only $(metric message_count) of $count were found"; exit 1; }
  awk -v n="$count" -v s="$shards" -v l="$(seconds "$start" "$loaded")" -v a="$(seconds "$start" "$accepting")" -v e="$empty" \
    -v b="$before" -v r="$(memory)" -v c="$(cpu)" -v d="$(du -s --block-size=1 "$BENCH_DIR" | cut -f1)" 'BEGIN {
    printf "recovery: %d deferred messages of 10 KB, %d shards, %.1f GB on disk\n", n, s, d / 1e9
    printf "  fully loaded %.2f s, accepting %.2f s after the start; %.1f s of CPU, %.0f MB/s read\n", l, a, c / 1e6, d / 1e6 / l
    printf "  memory %.0f MB after the start (%.0f bytes per message); %.0f MB before the crash (%.0f)\n",
      r / 1e6, (r - e) / n, b / 1e6, (b - e) / n }'
}

compaction() {
  begin; sink; later
  local round=$((count / 20)) waiting=0
  echo "compaction: of $count messages of 10 KB one in a hundred waits for long, $shards shards"
  for step in $(seq 20); do
    source_ -n "$((round - round / 100))" --domains now.example
    source_ -n "$((round / 100))" --domains "$BENCH_LATER"
    waiting=$((waiting + round / 100))
    until_waiting "$waiting"
    [ $((step % 5)) = 0 ] || continue
    sleep 6 # compaction looks every 5 s
    awk -v n="$((step * round))" -v live="$(metric spool_live_bytes)" -v seg="$(metric spool_segments)" \
      -v disk="$(du -s --block-size=1 "$BENCH_DIR/data" | cut -f1)" 'BEGIN {
      printf "  after %8d messages: %4d MB wait, %4d MB in %d segments in use, %4d MB of disk with spares: %.1f times what waits\n",
        n, live / 1e6, seg * 64 * 1.048576, seg, disk / 1e6, disk / live }'
  done
  echo "  $(awk -v c="$(cpu)" -v n="$count" 'BEGIN { printf "%.1f us of CPU per message, compaction included", c / n }')"
}

syncs() {
  begin; sink
  echo "syncs: messages of 10 KB, $shards shards"
  for rate in 10 100 1000 5000 full; do
    local data journal taken args=(--duration 5s)
    [ "$rate" = full ] || args+=(--rate "$rate")
    data=$(metric spool_flush_total) journal=$(metric journal_flush_total) taken=$(metric spool_committed_total)
    source_ "${args[@]}" --domains now.example
    until_waiting 0
    awk -v r="$rate" -v n=$(($(metric spool_committed_total) - taken)) -v d=$(($(metric spool_flush_total) - data)) \
      -v j=$(($(metric journal_flush_total) - journal)) 'BEGIN {
      printf "  %5s messages/s: %6d messages, %.3f data and %.3f journal syncs per message\n", r, n, d / n, j / n }'
  done
}

case $what in
  recovery | compaction | syncs) "$what" ;;
  *) usage ;;
esac
