#!/usr/bin/env bash
# Load on, the engine killed at a random moment, started again (sometimes with another number of shards); at the end every
# message that got its 250 must have arrived. With TERM none may arrive twice, and each end may take 5 s at the most.
#
#   ci/crash_campaign.sh [--rounds N] [--profile dev|release] [--signal KILL|TERM] [--seed N]
. "$(dirname "${BASH_SOURCE[0]}")/campaign.sh"

rounds=20 signal=KILL
options 'profile seed rounds signal' "$@"
RANDOM=$seed
build
sink "$work/got" --tempfail 2
start 2
source_of "$work/ack" -c 50 --duration "$((rounds * 3))s" & load=$!
others+=("$load")
slowest=0
for round in $(seq "$rounds"); do
  sleep "$((RANDOM % 2)).$((RANDOM % 10))"
  before=$(date +%s%3N)
  kill "-$signal" "$engine"; wait "$engine" 2> /dev/null || true
  took=$(($(date +%s%3N) - before))
  [ "$took" -le "$slowest" ] || slowest=$took
  shards=$((RANDOM % 3 + 1))
  start "$shards"
  echo "round $round of $rounds: back with $shards shards, $(wc -l < "$work/ack") acknowledged so far"
done
kill -INT "$load" 2> /dev/null || true
wait "$load" || true
verify "$work/ack" 120s "$work/got"
no_panic
echo "crash campaign: $rounds rounds with SIG$signal, seed $seed: $acknowledged acknowledged, $missing missing," \
  "$duplicates duplicates, slowest end $slowest ms"
[ "$missing" = 0 ] || exit 1
[ "$signal" != TERM ] || { [ "$duplicates" = 0 ] && [ "$slowest" -lt 5000 ]; }
