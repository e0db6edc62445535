#!/usr/bin/env bash
# The clients that people use with Mailpit, against the inbox: every method of the npm package mailpit-api 2.1.0 and of the
# Python packages mailpit-api-client 1.0.0 and pytest-mailpit 0.4.1, each with what it must give back. The packages are
# installed below target/tools the first time. MAILPIT_BIN: folder of a ringmta that is built already.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
skip() { echo "skipped: Mailpit's clients were NOT tried: $1"; exit 0; }
command -v node > /dev/null && command -v npm > /dev/null || skip 'node and npm are not installed'
command -v python3 > /dev/null || skip 'python3 is not installed'
python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || skip 'python3 is older than 3.11, which pytest-mailpit wants'
tools=$(realpath -m "${CARGO_TARGET_DIR:-target}/tools/mailpit")
mkdir -p "$tools"
if [ ! -d "$tools/node_modules/mailpit-api" ]; then
  npm install --silent --no-audit --no-fund --prefix "$tools" mailpit-api@2.1.0 || skip 'npm cannot install mailpit-api'
fi
if [ ! -x "$tools/venv/bin/pytest" ]; then
  python3 -m venv "$tools/venv" || skip 'python3 has no venv'
  # What the client of 2023 imports has moved on since.
  "$tools/venv/bin/pip" install --quiet --disable-pip-version-check \
    mailpit-api-client==1.0.0 pytest-mailpit==0.4.1 'marshmallow<4' httpx || { rm -rf "$tools/venv"; skip 'pip cannot install the clients'; }
fi
if [ -z "${MAILPIT_BIN:-}" ]; then
  cargo build --locked -p ringmta
  MAILPIT_BIN=${CARGO_TARGET_DIR:-target}/debug
fi
dir=$(mktemp -d)
pids=()
end() { kill "${pids[@]}" 2> /dev/null || true; wait 2> /dev/null || true; rm -rf "$dir"; }
trap end EXIT
# Runs a command in the background and waits until its output has a line of this pattern.
start() {
  local out=$1 pattern=$2; shift 2
  "$@" > "$out" 2>&1 &
  pids+=($!)
  until grep -q "$pattern" "$out"; do
    kill -0 "${pids[-1]}" 2> /dev/null || { cat "$out"; exit 1; }
    sleep 0.05
  done
}
port() { sed -n "s/.*$2.*127\.0\.0\.1:\([0-9]*\).*/\1/p" "$1"; }
start "$dir/peers" 'http 127' node ci/mailpit/peers.mjs
start "$dir/relay" 'inbox on' "$MAILPIT_BIN/ringmta" sandbox -s 127.0.0.1:0 -l 127.0.0.1:0
cat > "$dir/relay.yaml" << YAML
host: 127.0.0.1
port: $(port "$dir/relay" smtp)
allowed-recipients: '@example\.com$'
blocked-recipients: '^blocked@'
YAML
for store in memory database; do
  database=()
  [ $store = memory ] || database=(--database "$dir/inbox.db")
  start "$dir/$store" 'inbox on' env MP_SMTP_BIND_ADDR=127.0.0.1:0 MP_UI_BIND_ADDR=127.0.0.1:0 MP_ENABLE_CHAOS=true MP_LABEL=tried \
    MP_SMTP_RELAY_CONFIG="$dir/relay.yaml" MP_ENABLE_SPAMASSASSIN="127.0.0.1:$(port "$dir/peers" spamd)" \
    "$MAILPIT_BIN/ringmta" sandbox --enable-link-check --allow-internal-http-requests "${database[@]}"
  export INBOX_WEB="http://127.0.0.1:$(port "$dir/$store" inbox)" INBOX_SMTP="127.0.0.1:$(port "$dir/$store" smtp)"
  export RELAY_WEB="http://127.0.0.1:$(port "$dir/relay" inbox)" LINKS="http://127.0.0.1:$(port "$dir/peers" http)"
  echo "-- messages in: $store"
  (cd ci/mailpit && NODE_MODULES="$tools/node_modules" node npm_client.mjs)
  "$tools/venv/bin/python" ci/mailpit/python_client.py
  (cd ci/mailpit && MAILPIT_URL=$INBOX_WEB MAILPIT_SMTP=$INBOX_SMTP \
    "$tools/venv/bin/pytest" -q -s -p no:cacheprovider -o addopts= pytest_client.py)
done
