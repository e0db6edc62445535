#!/usr/bin/env bash
# What a power cut leaves: the block image of the spool's disk is copied at a random moment under load, mounted, and an
# engine started on it. Every id acknowledged before the copy must have arrived before it, or arrive now. The engine is
# stopped while the copy is made, so that the copy is of one moment. Needs root and loop devices.
#
#   ci/power_cut.sh [--rounds N] [--profile dev|release] [--seed N]
. "$(dirname "${BASH_SOURCE[0]}")/campaign.sh"

rounds=5
options 'profile seed rounds' "$@"
RANDOM=$seed
needs mkfs.ext4 losetup curl
build

# Waits until the sink has written down all that it took: its ledger stands still for a second.
written() {
  local still=0 now before=''
  for _ in $(seq 600); do
    now=$(stat -c %s "$work/got")
    if [ "$now" = "$before" ]; then still=$((still + 1)); else still=0 before=$now; fi
    [ "$still" -lt 10 ] || return 0
    sleep 0.1
  done
  fail 'the sink gets mail from an engine that is stopped'
}

total=0 lost=0 waiting=0
for round in $(seq "$rounds"); do
  # No commit of the file system but those the engine asks for.
  disk 600 "$work/disk.img" "$work/disk" commit=600
  ports 0 "$work/disk/spool"
  rm -f "$work"/ack* "$work"/got*
  sink "$work/got" --tempfail 30
  start 2
  source_of "$work/ack" -c 30 --duration 30s & load=$!
  others+=("$load")
  sleep "$((RANDOM % 4 + 1)).$((RANDOM % 10))"
  cp "$work/ack" "$work/ack.cut"
  kill -STOP "$engine"
  [ $((RANDOM % 2)) = 0 ] || sleep 0.2
  cp --sparse=always "$work/disk.img" "$work/cut.img"
  written
  cp "$work/got" "$work/got.cut"
  kill -9 "$engine" "$load"; wait "$engine" "$load" 2> /dev/null || true
  unmount "$work/disk"
  mkdir -p "$work/cut"
  mount -o loop "$work/cut.img" "$work/cut"; mounts+=("$work/cut")
  ports 1 "$work/cut/spool"
  sink "$work/got.after"
  start 2
  found=$(sed -n 's/^\([0-9]*\) messages recovered.*/\1/p' "$work/engine.out" | tail -1)
  verify "$work/ack.cut" 60s "$work/got.cut" "$work/got.after"
  kill -9 "$engine" "${others[@]}" 2> /dev/null || true
  wait 2> /dev/null || true
  others=()
  unmount "$work/cut"; mounts=()
  rm -f "$work/disk.img" "$work/cut.img"
  total=$((total + acknowledged)) lost=$((lost + missing)) waiting=$((waiting + ${found:-0}))
  echo "round $round of $rounds: $acknowledged acknowledged before the cut, ${found:-0} recovered, $missing missing"
done
no_panic
echo "power cut: $rounds rounds, seed $seed: $total acknowledged, $waiting recovered, $lost missing"
[ "$lost" = 0 ]
