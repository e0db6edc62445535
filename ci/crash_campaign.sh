#!/usr/bin/env bash
# Load on, kill -9 at a random moment, restart (sometimes with another number of shards); at the end every message that
# got its 250 must have arrived.
#
#   ci/crash_campaign.sh [--rounds N] [--profile dev|release] [--signal KILL|TERM] [--seed N]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

rounds=20 profile=release signal=KILL seed=$$
while [ $# -gt 0 ]; do
  case $1 in
    --rounds) rounds=$2; shift 2 ;;
    --profile) profile=$2; shift 2 ;;
    --signal) signal=$2; shift 2 ;;
    --seed) seed=$2; shift 2 ;;
    *) sed -n '2,6p' "$0"; exit 2 ;;
  esac
done
RANDOM=$seed
cargo build --profile "$profile" -p ringmta -p loadgen
bin=target/$profile; [ "$profile" = dev ] && bin=target/debug

work=$(mktemp -d)
export BENCH_DIR=$work/spool BENCH_SMTP=127.0.0.1:23525 BENCH_HTTP=127.0.0.1:23020 BENCH_SINK=127.0.0.1:23600
export RINGMTA_ALLOW_ROOT=1
mkdir -p "$BENCH_DIR"
engine='' others=()
finish() { kill -9 $engine "${others[@]}" 2> /dev/null || true; wait 2> /dev/null || true; rm -rf "$work"; }
trap finish EXIT

start() {
  "$bin/ringmta" run --policy bench/relay.lua --shards "$1" >> "$work/engine.out" 2>&1 & engine=$!
  for _ in $(seq 600); do
    curl -fs "http://$BENCH_HTTP/api/check-liveness/v1" > /dev/null && return
    kill -0 "$engine" 2> /dev/null || { echo 'the engine did not start:'; tail -5 "$work/engine.out"; exit 1; }
    sleep 0.05
  done
  echo 'the engine did not start in 30 s'; exit 1
}

"$bin/loadgen" sink --listen "$BENCH_SINK" --ledger "$work/got" --tempfail 2 --seed "$seed" > "$work/sink.out" 2>&1 &
others+=($!)
start 2
"$bin/loadgen" source --target "$BENCH_SMTP" -c 50 --duration "$((rounds * 3))s" --size 10k --keep-going \
  --ledger "$work/ack" --quiet > "$work/source.out" 2>&1 & source=$!
others+=("$source")
for round in $(seq "$rounds"); do
  sleep "$((RANDOM % 2)).$((RANDOM % 10))"
  kill "-$signal" "$engine"; wait "$engine" 2> /dev/null || true
  shards=$((RANDOM % 3 + 1))
  start "$shards"
  echo "round $round of $rounds: killed and back with $shards shards, $(wc -l < "$work/ack") acknowledged so far"
done
wait "$source" || true
"$bin/loadgen" verify --acked "$work/ack" --delivered "$work/got" --wait 120s
if grep -q panicked "$work/engine.out"; then
  echo 'the engine panicked:'; grep -A3 panicked "$work/engine.out"; exit 1
fi
echo "campaign over: $rounds rounds with SIG$signal, seed $seed"
