# What the long runs share, on top of the campaigns' own; sourced by them.
. "$(dirname "${BASH_SOURCE[0]}")/../campaign.sh"

metric() { curl -s "http://$BENCH_HTTP/metrics?prefix=$1" | awk -v n="$1" '$1 == n { print $2 }'; }
megabytes() { awk '/^VmRSS/ { print int($2 / 1024) }' "/proc/$engine/status"; }
seconds_since() { awk -v a="$1" -v b="$(date +%s%N)" 'BEGIN { printf "%.1f", (b - a) / 1e9 }'; }

# Starts the engine with $1 shards and waits until it takes mail.
begin() {
  : > "$work/engine.out"
  "$bin/ringmta" run --policy ci/long/long.lua --shards "$1" >> "$work/engine.out" 2>&1 & engine=$!
  until grep -qs 'initialization complete' "$work/engine.out"; do
    kill -0 "$engine" 2> /dev/null || fail 'the engine did not start'
    sleep 0.02
  done
}

# Ends it, and waits for that.
stop() { kill -TERM "$engine"; wait "$engine" || fail 'the engine did not end well'; engine=''; }

# Waits until the metric $1 is $2, and fails when it stands still for $3 seconds.
until_metric() {
  local before='' now since=$SECONDS
  until now=$(metric "$1"); [ "$now" = "$2" ]; do
    [ "$now" = "$before" ] || since=$SECONDS
    before=$now
    [ $((SECONDS - since)) -lt "$3" ] || fail "$1 stays at $now, not $2"
    sleep 0.2
  done
}
