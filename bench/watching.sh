#!/usr/bin/env bash
# What it costs to be watched, as CPU of all of the engine's threads (never wall time: the machine may be busy).
#
#   bench/watching.sh [--rounds N] [--count N] [--seconds N] [--queues N]
#
# Watched: in alternation, N seconds left alone, and N seconds with a console open (what its page asks, every 5 s) and metrics
# scraped every 5 s, with mail waiting in --queues queues: the difference as a share of one core.
# Trace: in alternation, fresh engines that relay --count messages: of one nobody has ever watched a session, of the other somebody has, and
# has stopped: CPU per message, medians.
set -euo pipefail
cd "$(dirname "$0")/.."

rounds=5 count=20000 seconds=60 queues=1000
while [ $# -gt 0 ]; do
  case $1 in
    --rounds) rounds=$2; shift 2 ;;
    --count) count=$2; shift 2 ;;
    --seconds) seconds=$2; shift 2 ;;
    --queues) queues=$2; shift 2 ;;
    *) sed -n '2,10p' "$0"; exit 2 ;;
  esac
done

bin=${BIN:-target/dist}
[ -x "$bin/ringmta" ] && [ -x "$bin/loadgen" ] || cargo build --profile dist -p ringmta -p loadgen
work=$(mktemp -d)
free() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print("127.0.0.1:%d" % s.getsockname()[1])'; }
BENCH_SMTP=$(free) BENCH_HTTP=$(free) BENCH_SINK=$(free)
export BENCH_SMTP BENCH_HTTP BENCH_SINK BENCH_DIR=$work/spool RINGMTA_ALLOW_ROOT=1
hz=$(getconf CLK_TCK) pids=() engine=
stop() { [ ${#pids[@]} -eq 0 ] || kill "${pids[@]}" 2> /dev/null || true; wait 2> /dev/null || true; pids=(); }
trap 'stop; rm -rf "$work"' EXIT

# start [SINK OPTIONS]: an engine without mail, and a sink.
start() {
  rm -rf "$BENCH_DIR" "$work"/*.ledger; mkdir -p "$BENCH_DIR"
  "$bin/loadgen" sink --listen "$BENCH_SINK" --ledger "$work/got.ledger" "$@" > "$work/sink.out" 2>&1 & pids+=($!)
  "$bin/ringmta" run --policy bench/relay.lua --shards 2 > "$work/engine.out" 2>&1 & engine=$!
  pids+=("$engine")
  for _ in $(seq 300); do
    grep -qs 'initialization complete' "$work/engine.out" && return
    kill -0 "$engine" 2> /dev/null || { cat "$work/engine.out"; exit 1; }
    sleep 0.1
  done
}
ticks() { awk '{ print $14 + $15 }' "/proc/$engine/stat"; }
ask() { curl -fsS -o /dev/null "http://$BENCH_HTTP$1"; }
median() { sort -n | awk '{ all[NR] = $1 } END { print all[int((NR + 1) / 2)] }'; }

# A console shows the first page and the queues, and a collector asks for metrics.
looked_at() {
  local end=$(($(date +%s) + seconds))
  while [ "$(date +%s)" -lt "$end" ]; do
    ask /api/console/now/v1
    ask '/api/console/history/v1?seconds=3600&points=240&by=provider'
    ask '/api/console/queues/v1?search=&limit=200'
    ask /api/console/answers/v1
    ask /metrics
    sleep 5
  done
}

BENCH_RETRY=12h; export BENCH_RETRY
start --tempfail 100
"$bin/loadgen" source --target "$BENCH_SMTP" -c 10 -n "$queues" --domain-count "$queues" --in-turn --size 1024 --ledger "$work/ack.ledger" --quiet > "$work/source.out" 2>&1
sleep 5
for _ in $(seq "$rounds"); do
  before=$(ticks); sleep "$seconds"; alone=$(($(ticks) - before))
  before=$(ticks); looked_at; watched=$(($(ticks) - before))
  awk -v a="$alone" -v w="$watched" -v hz="$hz" -v s="$seconds" 'BEGIN { printf "%.3f %.3f %.3f\n", (w - a) * 100 / hz / s, a * 100 / hz / s, w * 100 / hz / s }'
done > "$work/watched"
stop
echo "console and metrics open, mail in $queues queues: $(cut -d' ' -f1 "$work/watched" | median) % of a core" \
  "(alone $(cut -d' ' -f2 "$work/watched" | median) %, open $(cut -d' ' -f3 "$work/watched" | median) %)"

unset BENCH_RETRY
# relayed: CPU per message, microseconds.
relayed() {
  local before after
  before=$(ticks)
  "$bin/loadgen" source --target "$BENCH_SMTP" -c 20 -n "$count" --size 10240 --ledger "$work/ack.ledger" --quiet > "$work/source.out" 2>&1
  "$bin/loadgen" verify --acked "$work/ack.ledger" --delivered "$work/got.ledger" --wait 120s > "$work/verify.out"
  after=$(ticks)
  awk -v t=$((after - before)) -v hz="$hz" -v n="$count" 'BEGIN { printf "%.2f\n", t * 1e6 / hz / n }'
}
watch_once() {
  for which in '' --outgoing; do
    # shellcheck disable=SC2086
    timeout 2 "$bin/ringmta" ctl --endpoint "http://$BENCH_HTTP" trace $which > "$work/trace.out" 2>&1 || true
  done
  # Shards look every second who has gone.
  sleep 2
}
for _ in $(seq "$rounds"); do
  start; relayed >> "$work/never"; stop
  start; watch_once; relayed >> "$work/once"; stop
done
echo "trace off, CPU per message of $count: never watched $(median < "$work/never") us ($(sort -n "$work/never" | tr '\n' ' '))," \
  "watched before $(median < "$work/once") us ($(sort -n "$work/once" | tr '\n' ' '))"
