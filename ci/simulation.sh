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
simulate() {
  cargo run --quiet --locked --profile "$profile" -p ringmta-ci --features planted-bugs --bin simulate -- "$@"
}
for mistake in reply tail done; do
  for kind in spool engine; do
    # Partitions alone deliver nothing.
    if [ "$mistake $kind" != 'done spool' ]; then
      echo "planted: $mistake, must be found by: $kind"
      simulate --plant "$mistake" --kind "$kind"
    fi
  done
done
echo "fixed seeds 1 to $seeds"
simulate --from 1 --seeds "$seeds"
echo "fresh seeds for $budget"
simulate --fresh --budget "$budget"
