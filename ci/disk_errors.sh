#!/usr/bin/env bash
# A disk whose writes fail with I/O errors under load: mail is refused with 4xx, the engine neither dies nor answers 250, and
# when the disk is back every id acknowledged before arrives. The disk is a sparse file on a second, small one: when that is
# full, what was never written before cannot be written. No device mapper is needed. Needs root and loop devices.
#
#   ci/disk_errors.sh [--profile dev|release] [--seed N]
. "$(dirname "${BASH_SOURCE[0]}")/campaign.sh"

options 'profile seed' "$@"
needs mkfs.ext4 e2fsck losetup curl
build
disk 350 "$work/outer.img" "$work/outer"
disk 2000 "$work/outer/disk.img" "$work/disk" errors=remount-ro
# Straight to the outer disk: what its page cache has taken and then cannot write is no error of the write that brought it.
losetup --direct-io=on "$(losetup -nO NAME -j "$work/outer/disk.img")" 2> /dev/null \
  || { echo 'skipped: no direct I/O on loop devices here'; exit 0; }
ports 0 "$work/disk/spool"
sink "$work/got" --tempfail 20
start 2
source_of "$work/ack" -c 20 --duration 60s & load=$!
others+=("$load")
sleep 2
fallocate -l 1G "$work/outer/filler" 2> /dev/null || dd if=/dev/zero of="$work/outer/filler" bs=1M 2> /dev/null || true
for _ in $(seq 60); do
  grep -q 'messages refused' "$work/engine.out" && break
  sleep 0.5
done
grep -q 'messages refused' "$work/engine.out" || { echo 'skipped: no write of a full sparse disk fails here'; exit 0; }
sleep 4
kill -0 "$engine" || fail 'the engine is gone'
kill -INT "$load" 2> /dev/null || true
wait "$load" || true
kill -9 "$engine"; wait "$engine" 2> /dev/null || true
rm -f "$work/outer/filler"
unmount "$work/disk"
e2fsck -fy "$work/outer/disk.img" > "$work/fsck.out" 2>&1 || true
mount -o loop "$work/outer/disk.img" "$work/disk"
start 2
verify "$work/ack" 60s "$work/got"
no_panic
why=$(grep -am1 -o 'messages refused: .*' "$work/engine.out")
echo "disk errors (${why#messages refused: }): $acknowledged acknowledged, $refused refused, $missing missing"
[ "$missing" = 0 ]
