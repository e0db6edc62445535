#!/usr/bin/env bash
# Looks for a shard that sleeps with work in its queue: its core is taken away at random instants (see the program's --help).
#   ci/wakeups.sh [--seconds N] [--starts N] [--profile NAME]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
seconds=5 starts=300 profile=dev
while [ $# -gt 1 ]; do
  case $1 in
    --seconds) seconds=$2 ;;
    --starts) starts=$2 ;;
    --profile) profile=$2 ;;
    *) sed -n '2,3p' "$0"; exit 2 ;;
  esac
  shift 2
done
. ci/planted.sh
build_planted "$profile"
"$planted/wakeups" --seconds "$seconds" --starts "$starts"
