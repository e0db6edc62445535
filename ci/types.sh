#!/usr/bin/env bash
# The annotations for editors (policy/types, and those in the helpers) as a language server reads them: nothing in the shipped
# tree is an error or a warning, no helper has an error, and what is wrong is seen. The checker is emmylua_check from
# crates.io, installed below target/tools the first time, which takes some minutes.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
tools=$(realpath -m "${CARGO_TARGET_DIR:-target}/tools/emmylua")
check=$(command -v emmylua_check || true)
if [ -z "$check" ]; then
  check=$tools/bin/emmylua_check
  if [ ! -x "$check" ]; then
    echo 'emmylua_check is not there: it is installed'
    if ! CARGO_TARGET_DIR="$tools/target" cargo install --quiet --locked --debug --root "$tools" emmylua_check@0.25.1; then
      echo 'skipped: the types were NOT checked: emmylua_check cannot be installed'
      exit 0
    fi
    rm -rf "$tools/target"
  fi
fi
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
# As the package lays them out.
mkdir "$dir/types"
cp policy/types/*.lua "$dir/types"
cp -r policy/lua/policy-extras "$dir/types"
cp -r policy/example "$dir/tree"
sed "s|/usr/share/ringmta/types|$dir/types|" policy/example/.emmyrc.json > "$dir/tree/.emmyrc.json"
rm "$dir/tree/.luarc.json"
echo 'the shipped tree'
(cd "$dir/tree" && "$check" --severity warn --warnings-as-errors .)
echo 'the helpers'
(cd "$dir/types" && "$check" --severity error .)
# A check that finds nothing would pass as well.
echo 'what is wrong is seen'
mkdir "$dir/wrong"
cp "$dir/tree/.emmyrc.json" "$dir/wrong"
cat > "$dir/wrong/init.lua" <<'LUA'
local kumo = require 'kumo'
local log_hooks = require 'policy-extras.log_hooks'
kumo.on('smtp_server_message_received', function(msg)
  msg:set_sendr 'a@b.example'
  kumo.make_egress_path { connection_limit = {} }
end)
log_hooks:new { nam = 'x' }
test.case(1, function() end)
LUA
found=$(cd "$dir/wrong" && "$check" --severity warn . 2>&1 || true)
for line in 4 5 7 8; do
  if ! grep -q "init.lua:$line:" <<< "$found"; then
    echo "$found"
    echo "line $line of the wrong policy passes"
    exit 1
  fi
done
