#!/usr/bin/env bash
# Queue names in turn, each used once: what they leave behind is forgotten. Memory after all of them is compared with memory
# after the first tenth, both when the queues have been reaped and the limits swept.
#   ci/long/names.sh [--count 10000000] [--shards 2] [--profile release] [--slack 64]
# The slack is in megabytes: what the allocator may keep, and caches of a fixed size may grow.
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
count=10000000 shards=2 slack=64
options 'count shards profile slack' "$@"
build
"$bin/loadgen" sink --listen "$BENCH_SINK" > "$work/sink.out" 2>&1 & others+=($!)
begin "$shards"

# Mail to $1 domains for the tenant of round $2: queue names that no other round has.
round() {
  "$bin/loadgen" source --target "$BENCH_SMTP" -c 50 --size 500 -n "$1" --domain-count "$1" --in-turn \
    --from "r$2@sender.example" --quiet > "$work/source.out" 2>&1 || fail 'the source'
  until_metric message_count 0 120
}

# Memory when what is not used any more has had the time to be forgotten.
settled() { sleep 80; megabytes; }

tenth=$((count / 10)) began=$(date +%s%N)
round "$tenth" 1
before=$(settled)
for part in $(seq 2 10); do
  round "$tenth" "$part"
  echo "  $((part * tenth)) names, $(megabytes) MB"
done
after=$(settled)
line="names: $count queue names in $(seconds_since "$began") s; $before MB after the first tenth, $after MB after all"
[ "$after" -le $((before + slack)) ] || fail "$line: more than $slack MB were left behind"
echo "$line"
stop
