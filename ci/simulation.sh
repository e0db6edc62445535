#!/usr/bin/env bash
# Seeds of the simulation: mistakes planted on purpose must be found, a fixed set and fresh seeds must hold.
#   ci/simulation.sh [--seeds N] [--budget TIME] [--profile NAME]
# --seeds is the fixed set (2000), --budget the time for fresh seeds after it (10s).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
seeds=2000 budget=10s profile=dev
while [ $# -gt 0 ]; do
  case $1 in
    --seeds) seeds=$2 ;;
    --budget) budget=$2 ;;
    --profile) profile=$2 ;;
    *) echo "unknown option $1" >&2; exit 2 ;;
  esac
  shift 2
done
. ci/planted.sh
build_planted "$profile"
simulate() { "$planted/simulate" "$@"; }
for mistake in reply tail checkpoint; do
  echo "planted: $mistake, must be found by: spool"
  simulate --plant "$mistake" --kind spool --seeds 2000
done
for mistake in reply tail done stray idle suspended reload answers closing 354 step partial failed backlog wall; do
  echo "planted: $mistake, must be found by: engine"
  simulate --plant "$mistake" --kind engine --seeds 2000
done
echo "fixed seeds 1 to $seeds"
simulate --from 1 --seeds "$seeds"
echo "fresh seeds for $budget"
simulate --fresh --budget "$budget"
