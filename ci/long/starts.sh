#!/usr/bin/env bash
# Starts of a whole engine in a row, beside a busy neighbour for every core: each must say so within 30 s, and end within
# 15 s of being told to. In two lanes at most three: the ports of a campaign are eight.
#   ci/long/starts.sh [--count 5000] [--shards 2] [--lanes 2] [--profile release]
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
count=5000 shards=2 lanes=2
options 'count shards lanes profile' "$@"
build

for _ in $(seq "$(nproc)"); do
  (while :; do :; done) & others+=($!)
done

# Starts in one lane, with a spool and ports of its own: what an engine says comes through a pipe, so that nothing polls, and
# the pipe's end is the engine's.
lane() { # number, how many
  local lane=$1 many=$2 start one took slowest=0 line='' before is_up engine ended
  local dir=$work/lane-$lane
  export BENCH_DIR=$dir/spool
  BENCH_SMTP=127.0.0.1:$((CAMPAIGN_PORT + 2 * lane)) BENCH_HTTP=127.0.0.1:$((CAMPAIGN_PORT + 2 * lane + 1))
  export BENCH_SMTP BENCH_HTTP
  mkdir -p "$BENCH_DIR"
  for start in $(seq "$many"); do
    one=$(date +%s%N) is_up=''
    exec {said}< <(exec "$bin/ringmta" run --policy ci/long/long.lua --shards "$shards" 2>&1)
    engine=$!
    ended=0 before=''
    while [ "$ended" = 0 ] && [ -z "$is_up" ]; do
      before=$line
      IFS= read -r -t 30 -u "$said" line || ended=$?
      case $line in *'initialization complete'*) is_up=yes ;; esac
    done
    # More than 128: the time was used up; else it has closed the pipe.
    if [ -z "$is_up" ]; then
      [ "$ended" -gt 128 ] && echo "lane $lane: start $start hangs" || echo "lane $lane: start $start ended by itself: $before"
      kill -KILL "$engine" 2> /dev/null
      return 1
    fi
    took=$((($(date +%s%N) - one) / 1000000))
    [ "$took" -le "$slowest" ] || slowest=$took
    kill -TERM "$engine"
    ended=0
    while [ "$ended" = 0 ]; do IFS= read -r -t 15 -u "$said" line || ended=$?; done
    exec {said}<&-
    if [ "$ended" -gt 128 ] || ! wait "$engine"; then
      echo "lane $lane: the engine of start $start does not end well: $line"
      kill -KILL "$engine" 2> /dev/null
      return 1
    fi
    [ $((start % 250)) != 0 ] || echo "  lane $lane: $start starts in $(seconds_since "$began") s, the slowest $slowest ms"
  done
}

began=$(date +%s%N) running=()
for number in $(seq 0 $((lanes - 1))); do
  lane "$number" $((count / lanes)) & running+=($!); others+=($!)
done
for one in "${running[@]}"; do
  wait "$one" || fail 'an engine did not start, or did not end'
done
echo "starts: $((count / lanes * lanes)) in $(seconds_since "$began") s in $lanes lanes beside $(nproc) busy neighbours; none hung"
