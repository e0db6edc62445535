#!/usr/bin/env bash
# Very many messages bounced by an order, then as many expired at once: memory stays within bounds, and the disk is the limit.
# The spool needs about 1.5 KB for each (15 GB for all), their log files some hundred bytes.
#   ci/long/bounces.sh [--count 10000000] [--shards 2] [--profile release] [--slack 256] [--connections 50] [--only bounced|expired]
# The slack is what memory may grow beyond what the waiting messages take, in megabytes.
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
count=10000000 shards=2 slack=256 connections=50 only=''
options 'count shards profile slack connections only' "$@"
build
export LONG_LOG=1

api() { curl -fs -X "$1" -H 'content-type: application/json' "http://$BENCH_HTTP/api/admin/$2/v1" -d "$3"; }
id_of() { grep -o '"id":"[^"]*"' | head -n 1 | cut -d'"' -f4; }

# Fills the queue with held mail; prints nothing.
fill() {
  suspended=$(api POST suspend '{"domain":"held.example","reason":"long run","duration":"100 days"}' | id_of)
  [ -n "$suspended" ] || fail 'the suspension was not taken'
  waiting=0
  # What was not taken at first is sent again, as every client does.
  for _ in 1 2 3; do
    "$bin/loadgen" source --target "$BENCH_SMTP" -c "$connections" --size 500 -n $((count - waiting)) --domains held.example --keep-going \
      --quiet > "$work/source.out" 2>&1 || fail 'the source'
    waiting=$(metric message_count)
    [ "$waiting" -lt "$count" ] || break
  done
  [ "$waiting" -ge "$count" ] || fail "only $waiting of $count messages are held"
  until_metric scheduled_count_total "$waiting" 120
}

# Waits until memory stands still, for what a start has read is given back bit by bit; sets what there is then.
settle() {
  local since=$SECONDS now
  before=$(megabytes)
  while [ $((SECONDS - since)) -lt 15 ]; do
    sleep 1
    now=$(megabytes)
    [ $((now > before ? now - before : before - now)) -le 8 ] || since=$SECONDS before=$now
  done
}

# Watches until nothing waits; sets the highest memory seen.
watch() {
  local now before='' since=$SECONDS left
  peak=0
  until left=$(metric message_count); [ "$left" = 0 ]; do
    now=$(megabytes)
    [ "$now" -le "$peak" ] || peak=$now
    [ "$left" = "$before" ] || since=$SECONDS
    before=$left
    [ $((SECONDS - since)) -lt 120 ] || fail "$left messages stay"
    sleep 0.2
  done
}

tell() { # what, since when, memory before
  awk -v w="$1" -v n="$waiting" -v s="$(seconds_since "$2")" -v b="$3" -v p="$peak" -v d="$4" 'BEGIN {
    printf "%s: %d messages in %.1f s, %d/s, %d MB read/s; memory %d MB before, %d MB at most\n", w, n, s, n / s, d / 1e6 / s, b, p }'
  [ "$peak" -le $(($3 + slack)) ] || fail "memory grew by more than $slack MB"
}

bounced() {
  local bounce before size began
  fill
  before=$(megabytes) size=$(metric spool_live_bytes) began=$(date +%s%N)
  api POST bounce '{"domain":"held.example","reason":"long run","duration":"10 days"}' > "$work/bounce.json" || fail 'the order'
  watch
  tell bounced "$began" "$before" "$size"
  bounce=$(id_of < "$work/bounce.json")
  api DELETE bounce "{\"id\":\"$bounce\"}" > /dev/null || fail 'the order does not end'
  api DELETE suspend "{\"id\":\"$suspended\"}" > /dev/null || fail 'the suspension does not end'
}

expired() {
  local before size began
  fill
  stop
  LONG_MAX_AGE=1s begin "$shards"
  settle
  size=$(metric spool_live_bytes) began=$(date +%s%N)
  # Their queue is asked about, and then they are too old.
  api DELETE suspend "{\"id\":\"$suspended\"}" > /dev/null || fail 'the suspension does not end'
  watch
  tell expired "$began" "$before" "$size"
}

begin "$shards"
case $only in
  '') bounced; expired ;;
  bounced | expired) "$only" ;;
  *) fail "--only bounced or expired, not $only" ;;
esac
stop
