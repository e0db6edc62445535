# What the campaigns share; sourced by them. Each works in a folder of its own, with ports of its own, and ends what it
# started. CAMPAIGN_BIN names a folder with `ringmta` and `loadgen` to use instead of building them, CAMPAIGN_PORT the first
# of 8 ports.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

profile=release seed=$$ work='' engine='' others=() mounts=()
: "${CAMPAIGN_PORT:=23500}"
export RINGMTA_ALLOW_ROOT=1

# Reads options `--NAME VALUE` into variables of these names ($1); at any other the script's own words are its help.
options() {
  local names=" $1 " name; shift
  while [ $# -gt 0 ]; do
    name=${1#--}
    if [ "$name" = "$1" ] || [[ $names != *" $name "* ]] || [ $# = 1 ]; then
      sed -n '2,/^[^#]/{/^#/p}' "$0"
      exit 2
    fi
    printf -v "$name" %s "$2"; shift 2
  done
}

build() {
  local target=${CARGO_TARGET_DIR:-target}
  if [ -n "${CAMPAIGN_BIN:-}" ]; then
    bin=$CAMPAIGN_BIN
  else
    cargo build --quiet --profile "$profile" -p ringmta -p loadgen
    bin=$target/$profile; [ "$profile" != dev ] || bin=$target/debug
  fi
  work=$(mktemp -d)
  trap finish EXIT
  ports 0
}

# Spool, logs and sockets of engine number $1 in the folder $2.
ports() {
  export BENCH_DIR=${2:-$work/spool} BENCH_SMTP=127.0.0.1:$((CAMPAIGN_PORT + $1 * 3))
  export BENCH_HTTP=127.0.0.1:$((CAMPAIGN_PORT + $1 * 3 + 1)) BENCH_SINK=127.0.0.1:$((CAMPAIGN_PORT + $1 * 3 + 2))
  mkdir -p "$BENCH_DIR"
}

finish() {
  kill -9 $engine "${others[@]}" 2> /dev/null || true
  wait 2> /dev/null || true
  local mount place
  for ((place = ${#mounts[@]} - 1; place >= 0; place--)); do
    mount=${mounts[$place]}
    umount "$mount" 2> /dev/null || umount -l "$mount" || true
  done
  [ -z "$work" ] || rm -rf "$work"
}

fail() {
  echo "failed: $*"
  [ -z "$work" ] || tail -n 8 "$work"/*.out 2> /dev/null || true
  exit 1
}

# Starts the engine with $1 shards.
start() {
  "$bin/ringmta" run --policy bench/relay.lua --shards "$1" >> "$work/engine.out" 2>&1 & engine=$!
  for _ in $(seq 600); do
    # Any answer: on a full disk it is 503.
    curl -s -o /dev/null "http://$BENCH_HTTP/api/check-liveness/v1" && return
    kill -0 "$engine" 2> /dev/null || fail 'the engine did not start'
    sleep 0.05
  done
  fail 'the engine did not start in 30 s'
}

# A next hop with the ledger $1 and further options.
sink() {
  local ledger=$1; shift
  "$bin/loadgen" sink --listen "$BENCH_SINK" --ledger "$ledger" --seed "$seed" "$@" >> "$work/sink.out" 2>&1 &
  others+=($!)
}

# Mail, acknowledged into the ledger $1, with further options.
source_of() {
  local ledger=$1; shift
  "$bin/loadgen" source --target "$BENCH_SMTP" --size 10k --keep-going --ledger "$ledger" --quiet --seed "$seed" "$@" \
    >> "$work/source.out" 2>&1
}

# A number of the JSON summary in $work/books.
figure() { tr -d ' \n' < "$work/books" | sed -n "s/.*\"$1\":\({\"messages\":\)\{0,1\}\([0-9]*\).*/\2/p"; }

# Compares ledgers: verify ACKED WAIT DELIVERED...
verify() {
  local acked=$1 wait=$2 args=(); shift 2
  local delivered; for delivered in "$@"; do args+=(--delivered "$delivered"); done
  "$bin/loadgen" verify --acked "$acked" "${args[@]}" --wait "$wait" --json > "$work/books" || true
  acknowledged=$(figure acknowledged) missing=$(figure missing) duplicates=$(figure duplicates) refused=$(figure refused)
  [ -n "$missing" ] || fail "no books: $(cat "$work/books")"
}

no_panic() { if grep -A3 panicked "$work/engine.out"; then fail 'the engine panicked'; fi; }

# A file system of $1 MiB in the file $2, mounted at $3 with options $4; skips the campaign where that is not allowed.
disk() {
  truncate -s "$1M" "$2" && mkfs.ext4 -q "$2" && mkdir -p "$3" || fail "no file system in $2"
  mount -o "loop${4:+,$4}" "$2" "$3" 2> "$work/mount.out" || { echo "skipped: $(head -1 "$work/mount.out")"; exit 0; }
  mounts+=("$3")
}

# A killed engine's files are busy until the kernel has taken its rings down.
unmount() {
  for _ in $(seq 200); do
    if umount "$1" 2> "$work/mount.out"; then return; fi
    sleep 0.05
  done
  fail "$1 cannot be unmounted: $(cat "$work/mount.out")"
}

needs() {
  local program
  [ "$(id -u)" = 0 ] || { echo 'skipped: mounting needs root'; exit 0; }
  for program in "$@"; do
    command -v "$program" > /dev/null || { echo "skipped: there is no $program here"; exit 0; }
  done
}
