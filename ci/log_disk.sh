#!/usr/bin/env bash
# A disk that takes nothing, under the log files alone: mail goes on while their lines wait, from a limit on new mail gets
# 451, and the engine answers all the time; when the disk takes lines again, mail is taken again without anyone's help, all
# of it arrives, and each message's lines are in the files. Needs root and loop devices.
#
#   ci/log_disk.sh [--profile dev|release] [--seed N]
. "$(dirname "${BASH_SOURCE[0]}")/campaign.sh"

options 'profile seed' "$@"
needs mkfs.ext4 losetup fsfreeze curl pkill zstd
build
disk 400 "$work/disk.img" "$work/disk"
mkdir -p "$work/disk/log"
ln -s "$work/disk/log" "$BENCH_DIR/log"

# A number that the engine tells at /metrics, over all shards.
metric() {
  curl -s --max-time 10 "http://$BENCH_HTTP/metrics" | awk -v name="$1" '$1 == name || index($1, name "{") == 1 { sum += $2; found = 1 }
    END { if (!found) exit 1; printf "%d", sum }' || fail "no $1" >&2
}

# The engine's last reply to a message but for that to QUIT; nothing where it cannot be talked to.
reply() {
  local said
  said=$(curl -sv --max-time 20 "smtp://$BENCH_SMTP" --mail-from a@b.test --mail-rcpt c@d.test \
    -T <(printf 'Subject: x\r\n\r\nx\r\n') 2>&1) || true
  sed -n 's/\r$//; s/^< \([245][0-9][0-9] .*\)/\1/p' <<< "$said" | sed '/^221/d' | tail -1
}

# Waits until the engine's reply to a message matches $1, a minute and a half at the most.
until_reply() {
  local said=''
  for _ in $(seq 180); do
    said=$(reply)
    [[ $said != $1 ]] || return 0
    kill -0 "$engine" 2> /dev/null || fail 'the engine is gone'
    sleep 0.5
  done
  fail "a message is answered with '$said', not '$1'"
}

trap 'fsfreeze -u "$work/disk" 2> /dev/null || true; finish' EXIT
sink "$work/got"
start 1
until_reply '250*'
source_of "$work/ack" -c 20 --duration 300s & load=$!
others+=("$load")
sleep 1
fsfreeze -f "$work/disk"
before=$(wc -l < "$work/got")
until_reply '451 4.3.1 Log files are behind*'
during=$(($(wc -l < "$work/got") - before))
stalls=$(metric shard_stall_total)
fsfreeze -u "$work/disk"
until_reply '250*'
lost_lines=$(metric log_lines_lost_total)
pkill -INT -P "$load" || true
wait "$load" || true
verify "$work/ack" 120s "$work/got"
# Its end writes what waits. Each of the messages has a line of its arrival and one of its delivery.
kill -TERM "$engine"; wait "$engine" || fail 'the engine ended with an error'
no_panic
lines() { zstd -dcq "$work"/disk/log/* 2> /dev/null | grep -ac "\"type\":\"$1\"" || true; }
receptions=$(lines Reception) deliveries=$(lines Delivery)
echo "log disk: $during messages delivered while it took nothing, then new mail got 451; $acknowledged acknowledged," \
  "$refused refused, $missing missing; $receptions receptions and $deliveries deliveries in the files, $lost_lines lines lost;" \
  "$stalls stalls of a shard"
[ "$missing" = 0 ] && [ "$lost_lines" = 0 ] && [ "$stalls" = 0 ] && [ "$during" -gt 0 ] \
  && [ "$receptions" -ge "$acknowledged" ] && [ "$deliveries" -ge "$acknowledged" ]
