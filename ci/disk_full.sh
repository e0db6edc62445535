#!/usr/bin/env bash
# A small disk that fills up: clients get 452, an engine killed then starts again, the queue drains, and when there is room
# again mail is taken again, without anyone's help. All the while there is a hook whose receiver refuses, so that its events
# lie on the full disk too; once it takes them it is told of them. Needs root and loop devices.
#
#   ci/disk_full.sh [--profile dev|release] [--seed N]
. "$(dirname "${BASH_SOURCE[0]}")/campaign.sh"

options 'profile seed' "$@"
needs mkfs.ext4 losetup curl python3
build
export BENCH_HOOK=http://127.0.0.1:$((CAMPAIGN_PORT + 6))/
disk 420 "$work/disk.img" "$work/disk"
ports 0 "$work/disk/spool"

# The replies of the engine to a message it cannot store.
replies() {
  { sleep 0.2; printf 'EHLO x.test\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\nDATA\r\n'; sleep 0.5
    printf 'Subject: x\r\n\r\nx\r\n.\r\nQUIT\r\n'; sleep 0.5; } > "$work/said"
  exec 9<> "/dev/tcp/${BENCH_SMTP%:*}/${BENCH_SMTP#*:}"
  cat "$work/said" >&9
  timeout 10 cat <&9 || true
  exec 9>&-
}

# Takes events, or refuses them with 503 until the file $work/open is there; each request that it takes is a line.
receiver() {
  python3 - "$((CAMPAIGN_PORT + 6))" "$work/open" "$work/events" << 'PYTHON' 2> "$work/receiver.out" &
import http.server, os, sys

port, gate, events = int(sys.argv[1]), sys.argv[2], sys.argv[3]


class Receiver(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'

    def do_POST(self):
        body = self.rfile.read(int(self.headers['content-length']))
        taken = os.path.exists(gate)
        if taken:
            with open(events, 'ab') as file:
                file.write(body + b'\n')
        self.send_response(200 if taken else 503)
        self.send_header('content-length', '0')
        self.end_headers()

    def log_message(self, *args):
        pass


http.server.ThreadingHTTPServer(('127.0.0.1', port), Receiver).serve_forever()
PYTHON
  others+=($!)
}

# Deliveries that the receiver was told of.
told() { { grep -ao '"type":"Delivery"' "$work/events" 2> /dev/null || true; } | wc -l; }

receiver
start 1
# No next hop yet: all of it waits, until the disk is full.
source_of "$work/ack" -c 20 --duration 40s & load=$!
others+=("$load")
full=''
for _ in $(seq 80); do
  sleep 0.5
  full=$(replies | grep -am1 '^452') || true
  [ -z "$full" ] || break
done
[ -n "$full" ] || fail "the disk never got full: $(df -m "$work/disk" | tail -1)"
sleep 3
kill -0 "$engine" || fail 'the engine is gone'
# A start needs no room.
kill -9 "$engine"; wait "$engine" 2> /dev/null || true
start 1
kill -INT "$load" 2> /dev/null || true
wait "$load" || true
sink "$work/got"
verify "$work/ack" 180s "$work/got"
first=$acknowledged first_missing=$missing refused_then=$refused
# There is room again: at the latest when the hook has given events up, which it does after a minute.
taken=''
for _ in $(seq 240); do
  replies | grep -aq '^250.*ids=' && { taken=yes; break; }
  sleep 0.5
done
[ -n "$taken" ] || fail 'no mail is taken, though there is room again'
source_of "$work/ack2" -c 10 -n 500
verify "$work/ack2" 60s "$work/got"
second=$acknowledged second_missing=$missing
# Events that the disk had no room for were dropped, which was told; those of mail that came later are not among them.
touch "$work/open"
events=0
for _ in $(seq 240); do
  events=$(told)
  [ "$events" -lt "$second" ] || break
  sleep 0.5
done
[ "$events" -ge "$second" ] || fail "the receiver was told of $events deliveries, there were $second since there was room"
no_panic
echo "disk full: \"${full%$'\r'}\" to clients, $first acknowledged before, $refused_then refused, $first_missing missing;" \
  "$second acknowledged when there was room again, $second_missing missing; a hook was told of $events deliveries"
[ "$first_missing" = 0 ] && [ "$second_missing" = 0 ]
