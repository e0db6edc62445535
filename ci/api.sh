#!/usr/bin/env bash
# Has schemathesis (PyPI) try every path of /openapi.json of a running engine with requests that cover what each field may
# be, well-formed and not: nothing may answer 5xx (xfer, refused with 501, is left out), and each answer must be one that the
# document names. Says loudly when it cannot be installed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
bin=${CAMPAIGN_BIN:-${CARGO_TARGET_DIR:-target}/debug}/ringmta
tools=${CARGO_TARGET_DIR:-$PWD/target}/tools/schemathesis
[ -x "$bin" ] || cargo build --locked -p ringmta
if [ ! -x "$tools/bin/schemathesis" ]; then
  if ! { python3 -m venv "$tools" && "$tools/bin/pip" install --quiet schemathesis; } > /dev/null 2>&1; then
    rm -rf "$tools"
    echo '!!! SKIPPED: schemathesis cannot be installed here (python3-venv and PyPI): the API document was not tried'
    exit 0
  fi
fi
work=$(mktemp -d)
engine=
cleanup() { [ -z "$engine" ] || kill "$engine" 2> /dev/null || true; rm -rf "$work"; }
trap cleanup EXIT
cat > "$work/init.lua" << LUA
local kumo = require 'kumo'
kumo.on('init', function()
  for _, name in ipairs { 'data', 'meta' } do
    kumo.define_spool { name = name, path = '$work/spool/' .. name, min_free_space = '1MB', min_free_inodes = '0%' }
  end
  kumo.configure_local_logs { log_dir = '$work/log', index = true, min_free_space = '1MB' }
  kumo.start_esmtp_listener { listen = '127.0.0.1:0' }
  kumo.start_http_listener { listen = '127.0.0.1:0' }
end)
LUA
RINGMTA_ALLOW_ROOT=1 "$bin" run --policy "$work/init.lua" --shards 2 2> "$work/said" &
engine=$!
for _ in $(seq 300); do
  grep -q 'initialization complete' "$work/said" && break
  kill -0 "$engine" 2> /dev/null || { cat "$work/said"; exit 1; }
  sleep 0.1
done
url=http://$(sed -n 's/^http listener on //p' "$work/said" | head -n 1)
# What it keeps between runs goes with the rest.
(cd "$work" && "$tools/bin/schemathesis" run "$url/openapi.json" \
  --exclude-path-regex '/api/admin/(trace-smtp-|reload|xfer)|/api/xfer' \
  --checks not_a_server_error,status_code_conformance,content_type_conformance \
  --phases examples,coverage --workers 2)
kill -0 "$engine"
curl -fsS "$url/api/admin/self-check/v1" | grep -q '"ok":true'
echo 'the engine is well after all of it'
