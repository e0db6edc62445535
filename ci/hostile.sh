#!/usr/bin/env bash
# Attacks on a running engine: each is tried, and one line says what held. Needs Python 3 (its standard library alone);
# some attacks need root. Ends with 1 when anything did not hold.
#
#   ci/hostile.sh [--profile dev|release] [--only WORDS] [--tests no]
#
# CAMPAIGN_BIN names a folder with `ringmta` to use instead of building it. What scenario tests hold already is run by name,
# unless --tests no is given.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
profile=release only='' tests=yes
while [ $# -gt 0 ]; do
  case "$1" in
    --profile) profile=$2 ;;
    --only) only=$2 ;;
    --tests) tests=$2 ;;
    *) sed -n '2,/^[^#]/{/^#/p}' "$0"; exit 2 ;;
  esac
  shift 2
done
if [ -n "${CAMPAIGN_BIN:-}" ]; then
  bin=$CAMPAIGN_BIN
else
  cargo build --quiet --locked --workspace --bin ringmta --profile "$profile"
  bin=${CARGO_TARGET_DIR:-target}/$profile
  [ "$profile" != dev ] || bin=${CARGO_TARGET_DIR:-target}/debug
fi
exec python3 ci/hostile --bin "$bin/ringmta" --only "$only" --tests "$tests"
