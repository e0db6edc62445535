#!/usr/bin/env bash
# Starts of a whole engine in a row, beside a busy neighbour for every core: each must be up within 30 s, and end when
# it is told to within 15. Minutes for 500, most of an hour for all.
#   ci/long/starts.sh [--count 5000] [--shards 2] [--profile release]
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
count=5000 shards=2
options 'count shards profile' "$@"
build

for _ in $(seq "$(nproc)"); do
  (while :; do :; done) & others+=($!)
done

# Waits until the words $1 hold, for $2 seconds at most.
within() {
  local end=$(($(date +%s%N) + $2 * 1000000000))
  until eval "$1"; do
    [ "$(date +%s%N)" -lt "$end" ] || return 1
    sleep 0.01
  done
}

began=$(date +%s%N) slowest=0
for start in $(seq "$count"); do
  one=$(date +%s%N)
  : > "$work/engine.out" # here, not by the one that is started: what the last one said must not be read
  "$bin/ringmta" run --policy ci/long/long.lua --shards "$shards" >> "$work/engine.out" 2>&1 & engine=$!
  within "grep -qs 'initialization complete' '$work/engine.out' || ! kill -0 $engine 2> /dev/null" 30 \
    || fail "start $start hangs"
  kill -0 "$engine" 2> /dev/null || fail "start $start ended by itself"
  took=$((($(date +%s%N) - one) / 1000000))
  [ "$took" -le "$slowest" ] || slowest=$took
  kill -TERM "$engine"
  within "! kill -0 $engine 2> /dev/null" 15 || fail "the engine of start $start does not end"
  wait "$engine" || fail "the engine of start $start ended with $?"
  engine=''
  [ $((start % 500)) != 0 ] || echo "  $start starts in $(seconds_since "$began") s, the slowest $slowest ms"
done
echo "starts: $count in $(seconds_since "$began") s beside $(nproc) busy neighbours, the slowest took $slowest ms; none hung"
