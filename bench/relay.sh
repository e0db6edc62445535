#!/usr/bin/env bash
# Relays messages over loopback and reports the engine's CPU per message.
#
#   bench/relay.sh [--tool loadgen|postfix] [--count N] [--connections N] [--shards N] [--size BYTES]
#                  [--one-per-connection] [--sink-args '...'] [--example]
#
# loadgen: our source and sink, with a ledger that is verified. postfix: Debian's smtp-source and smtp-sink.
# --example: under the shipped policy tree, webhooks off, instead of the smallest one.
# CPU is user+system of all of the engine's threads, from the first message to the last delivered.
set -euo pipefail
cd "$(dirname "$0")/.."

tool=loadgen count=20000 connections=50 shards=2 size=10240 one=no sink_args= policy=bench/relay.lua
while [ $# -gt 0 ]; do
  case $1 in
    --tool) tool=$2; shift 2 ;;
    --count) count=$2; shift 2 ;;
    --connections) connections=$2; shift 2 ;;
    --shards) shards=$2; shift 2 ;;
    --size) size=$2; shift 2 ;;
    --one-per-connection) one=yes; shift ;;
    --sink-args) sink_args=$2; shift 2 ;;
    --example) policy=policy/example/init.lua; shift ;;
    *) sed -n '2,10p' "$0"; exit 2 ;;
  esac
done

bin=${BIN:-target/dist}
[ -x "$bin/ringmta" ] && [ -x "$bin/loadgen" ] || cargo build --profile dist -p ringmta -p loadgen
export PATH=$PATH:/usr/sbin
work=$(mktemp -d)
export BENCH_DIR=$work/spool BENCH_SMTP=127.0.0.1:22525 BENCH_HTTP=127.0.0.1:28020 BENCH_SINK=127.0.0.1:22600
export RINGMTA_ALLOW_ROOT=1 RINGMTA_MODE=development RINGMTA_SANDBOX=$BENCH_SINK RINGMTA_SPOOL=$BENCH_DIR
export RINGMTA_LOG_DIR=$BENCH_DIR/log RINGMTA_SMTP_LISTEN=$BENCH_SMTP RINGMTA_HTTP_LISTEN=$BENCH_HTTP KUMOMTA_WEBHOOK_URL=
mkdir -p "$BENCH_DIR"
pids=()
finish() { kill "${pids[@]}" 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$work"; }
trap finish EXIT

if [ "$tool" = postfix ]; then
  user=(); [ "$(id -u)" = 0 ] && user=(-u nobody)
  smtp-sink "${user[@]}" "$BENCH_SINK" 1000 & pids+=($!)
else
  # shellcheck disable=SC2086
  "$bin/loadgen" sink --listen "$BENCH_SINK" --ledger "$work/got" $sink_args > "$work/sink.out" 2>&1 & pids+=($!)
fi
"$bin/ringmta" run --policy "$policy" --shards "$shards" > "$work/engine.out" 2>&1 & engine=$!
pids+=("$engine")
for _ in $(seq 100); do
  grep -qs 'initialization complete' "$work/engine.out" && break
  kill -0 "$engine" 2>/dev/null || { cat "$work/engine.out"; exit 1; }
  sleep 0.1
done

ticks() { awk '{ print $14 + $15 }' "/proc/$engine/stat"; }
metric() { curl -s "http://$BENCH_HTTP/metrics?prefix=$1" | awk -v n="$1" '$1 == n { print $2 }'; }
before=$(ticks); start=$(date +%s%N)
if [ "$tool" = postfix ]; then
  many=(-d); [ $one = yes ] && many=()
  smtp-source -s "$connections" -m "$count" -l "$size" -N "${many[@]}" -f a@src.example -t b@dst.example "$BENCH_SMTP"
else
  per=(); [ $one = yes ] && per=(--messages-per-connection 1)
  "$bin/loadgen" source --target "$BENCH_SMTP" -c "$connections" -n "$count" --size "$size" "${per[@]}" \
    --ledger "$work/ack" --quiet > "$work/source.out" 2>&1
fi
accepted=$(date +%s%N)
verdict=
if [ "$tool" = postfix ]; then
  while [ "$(metric message_count)" != 0 ]; do sleep 0.05; done
else
  verdict=$("$bin/loadgen" verify --acked "$work/ack" --delivered "$work/got" --wait 120s | tr -s ' ' | tr '\n' ' ')
fi
delivered=$(date +%s%N); after=$(ticks)
flushes=$(metric spool_flush_total)
awk -v n="$count" -v t=$((after - before)) -v hz="$(getconf CLK_TCK)" -v a=$((accepted - start)) -v d=$((delivered - start)) \
  -v f="$flushes" -v what="$tool, $shards shards, $connections connections, $size bytes, one per connection: $one" 'BEGIN {
  printf "%s\n  %.1f us of CPU per message, %d accepted/s, %d delivered/s, %.1f messages per flush\n",
    what, t * 1e6 / hz / n, n * 1e9 / a, n * 1e9 / d, n / f }'
[ -z "$verdict" ] || echo "  $verdict"
