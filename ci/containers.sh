#!/usr/bin/env bash
# The containers of local/ in a real Docker engine: the commands of the development platform word for word, logs, webhook, stop
# and start, `docker kill` under load with the ledger, rights, the seccomp profile, the size; then the Kubernetes example
# against its schema. The program of CAMPAIGN_BIN (target/debug unless given) goes into the image; with --from-source the
# image builds it itself.
#
#   ci/containers.sh [--from-source] [--rounds N]
. "$(dirname "${BASH_SOURCE[0]}")/docker.sh"

from_source='' rounds=3
while [ $# -gt 0 ]; do
  case $1 in
    --from-source) from_source=yes ;;
    --rounds) rounds=$2; shift ;;
    *) sed -n '2,/^[^#]/{/^#/p}' "$0"; exit 2 ;;
  esac
  shift
done
bin=${CAMPAIGN_BIN:-${CARGO_TARGET_DIR:-target}/debug}
bin=$(realpath "$bin")
image_mb_max=80
begun=''
# Volumes of its own: nobody's mail is touched.
export COMPOSE_PROJECT_NAME=ringmta-ci-$$

trouble() { docker logs kumomta-smtp 2>&1 | tail -n 20; }
clean() {
  [ -n "$begun" ] || return 0
  (cd local && docker compose down -v --timeout 5)
  rm -rf local/built
}
in_local() { (cd local && "$@"); }
healthy() { [ "$(docker inspect -f '{{.State.Health.Status}}' "$1")" = healthy ]; }
# No pipes into `grep -q`: it ends at the first match, and whoever still writes fails by that.
logs_have() { docker logs kumomta-smtp > "$scratch/logs" 2>&1; grep -qE "$1" "$scratch/logs"; }
inbox() { curl -fsS http://localhost:8025/api/v1/messages?limit=1 | tr -d ' ' | grep -o '"total":[0-9]*' | cut -d: -f2; }
inbox_has() { [ "$(inbox)" = "$1" ]; }

ports_are_free() {
  local port
  for port in 25 8020 1025 8025 8021; do
    ! (: < "/dev/tcp/127.0.0.1/$port") 2> /dev/null || skip "port $port of this machine is taken; the platform's words name it"
  done
  ! docker inspect kumomta-smtp > /dev/null 2>&1 || skip 'there is a container kumomta-smtp here already'
}

# The receiver of events on the host: what it is sent, a line each, the key in front.
receiver() {
  python3 - "$scratch/events" 2> "$scratch/receiver.out" << 'PYTHON' &
import http.server, sys
class Receiver(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    def do_POST(self):
        body = self.rfile.read(int(self.headers['content-length']))
        with open(sys.argv[1], 'ab') as out:
            out.write(str(self.headers['x-kumomta-key']).encode() + b' ' + body.replace(b'\n', b' ') + b'\n')
        self.send_response(200); self.send_header('content-length', '0'); self.end_headers()
    def log_message(self, *args): pass
http.server.ThreadingHTTPServer(('0.0.0.0', 8021), Receiver).serve_forever()
PYTHON
  helpers+=($!)
  touch "$scratch/events"
}
event() { grep -qE "^$1 .*\"type\":\"$2\"" "$scratch/events"; }

# send COUNT SUBJECT: mail by port 25, logged in, without TLS.
send() {
  python3 - "$@" << 'PYTHON'
import smtplib, sys
with smtplib.SMTP('localhost', 25, timeout=30) as smtp:
    smtp.login('mailing', 'mailing')
    for number in range(int(sys.argv[1])):
        smtp.sendmail('hello@example.com', ['you@example.net'],
                      f'From: hello@example.com\r\nTo: you@example.net\r\nSubject: {sys.argv[2]} {number}\r\n\r\nIt works\r\n')
PYTHON
}

# The image the plain Dockerfile builds in: where it cannot be pulled, of this machine's toolchain, and trusting whom this
# machine trusts.
rust_image() {
  local image=rust:1-slim-bookworm sysroot container part
  ! docker image inspect "$image" > /dev/null 2>&1 || return 0
  ! docker pull -q "$image" > /dev/null 2>&1 || return 0
  sysroot=$(rustc --print sysroot)
  container=$(docker create "$base" true)
  for part in bin lib libexec; do docker cp -q "$sysroot/$part" "$container:/usr/local/" 2> /dev/null || docker cp "$sysroot/$part" "$container:/usr/local/" > /dev/null; done
  tar -C / -chf - etc/ssl/certs/ca-certificates.crt | docker cp - "$container:/" > /dev/null
  docker commit "$container" "$image" > /dev/null
  docker rm "$container" > /dev/null
}

image() {
  if [ -z "$from_source" ]; then
    mkdir -p local/built
    strip -o local/built/ringmta "$bin/ringmta"
    export RINGMTA_BUILDER=$base RINGMTA_BINARY=local/built/ringmta
  fi
  in_local docker compose build > "$scratch/build.out" 2>&1 || { tail -n 20 "$scratch/build.out"; fail 'the image cannot be built'; }
  local size
  size=$((($(docker image inspect -f '{{.Size}}' ringmta:local) - $(docker image inspect -f '{{.Size}}' "$base")) / 1000000))
  ok "image built: $size MB beyond its base"
  [ "$size" -le "$image_mb_max" ] || fail "the image has more than $image_mb_max MB beyond its base"
}

words() {
  local started=$SECONDS
  in_local docker compose up -d kumomta-smtp reloop-mailpit > "$scratch/up.out" 2>&1 || { cat "$scratch/up.out"; fail 'docker compose up'; }
  wait_for 60 'a healthy kumomta-smtp' healthy kumomta-smtp
  wait_for 60 'a healthy reloop-mailpit' healthy reloop-mailpit
  ok "docker compose up -d kumomta-smtp reloop-mailpit: both healthy after $((SECONDS - started)) s"
  send 1 first
  wait_for 20 'the mail in the inbox' inbox_has 1
  docker logs -f kumomta-smtp > "$scratch/follow" 2>&1 & helpers+=($!)
  wait_for 20 'the reception in the log' grep -qE 'Reception [^ ]+ from <hello@example.com> to <you@example.net>' "$scratch/follow"
  wait_for 20 'the delivery in the log' grep -qE 'Delivery [^ ]+ from <hello@example.com> to <you@example.net>.*: 250' "$scratch/follow"
  ok 'docker logs -f kumomta-smtp:'
  grep -E 'Reception|Delivery' "$scratch/follow" | head -2
  wait_for 20 'the events at the receiver' event reloop Delivery
  event reloop Reception || fail 'no Reception event'
  ok "webhook: $(wc -l < "$scratch/events") events with the key"
  curl -fsS http://localhost:8020/metrics > "$scratch/metrics" && grep -q '^message_count' "$scratch/metrics" || fail 'no metrics at 8020'
  curl -fsS http://localhost:8025/ > "$scratch/page" && grep -qi '<html' "$scratch/page" || fail 'no page at 8025'
  ok 'metrics at http://localhost:8020/metrics, the inbox at http://localhost:8025/'
}

rights() {
  [ "$(docker top kumomta-smtp -eo pid,uid | awk 'NR == 2 { print $2 }')" -gt 0 ] || fail 'it runs as root'
  ! docker exec kumomta-smtp touch /x 2> /dev/null || fail 'the root file system can be written'
  ! docker exec kumomta-smtp unshare -U true 2> /dev/null || fail 'calls beyond the profile are allowed'
  ! docker inspect -f '{{json .HostConfig.PortBindings}}' kumomta-smtp reloop-mailpit | grep -q '"HostIp":"\(0.0.0.0\|\)"' || fail 'published beyond loopback'
  ok "user $(docker inspect -f '{{.Config.User}}' kumomta-smtp), read-only root, no capability, own seccomp profile, loopback only"
  python3 - local/seccomp.json "$scratch/no-ring.json" << 'PYTHON'
import json, sys
profile = json.load(open(sys.argv[1]))
for rule in profile['syscalls']:
    rule['names'] = [name for name in rule['names'] if not name.startswith('io_uring')]
json.dump(profile, open(sys.argv[2], 'w'))
PYTHON
  docker run --rm --security-opt "seccomp=$scratch/no-ring.json" --security-opt no-new-privileges ringmta:local > "$scratch/no-ring" 2>&1 &&
    fail 'it started without io_uring'
  [ "$(grep -c . "$scratch/no-ring")" = 1 ] && grep -q 'local/seccomp.json' "$scratch/no-ring" || { cat "$scratch/no-ring"; fail 'not one line with the cure'; }
  ok "without the profile: $(cat "$scratch/no-ring")"
}

# Mail waits while the inbox is away; the engine is stopped and started in between.
stop_and_start() {
  local before; before=$(inbox)
  docker stop -t 5 reloop-mailpit > /dev/null
  send 50 waiting
  local started=$SECONDS
  in_local docker compose stop kumomta-smtp > /dev/null 2>&1
  ok "docker compose stop kumomta-smtp: $((SECONDS - started)) s, exit code $(docker inspect -f '{{.State.ExitCode}}' kumomta-smtp)"
  [ "$(docker inspect -f '{{.State.ExitCode}}' kumomta-smtp)" = 0 ] || fail 'it did not end by itself'
  in_local docker compose up -d kumomta-smtp reloop-mailpit > /dev/null 2>&1
  wait_for 60 'the 50 in the inbox' inbox_has_at_least 50
  ok "started again: $(inbox) in the inbox (it had $before and was emptied by its own restart), nothing lost"
}
inbox_has_at_least() { [ "$(inbox)" -ge "$1" ]; }

kill_under_load() {
  local gateway port=$((20000 + RANDOM % 10000)) round
  gateway=$(docker inspect -f '{{range .NetworkSettings.Networks}}{{.Gateway}}{{end}}' kumomta-smtp)
  [ -n "$gateway" ] || fail 'the network of the containers has no gateway'
  "$bin/loadgen" sink --listen "0.0.0.0:$port" --ledger "$scratch/got" > "$scratch/sink.out" 2>&1 & helpers+=($!)
  RINGMTA_SANDBOX=$gateway:$port in_local docker compose up -d kumomta-smtp > /dev/null 2>&1
  wait_for 60 'a healthy kumomta-smtp' healthy kumomta-smtp
  "$bin/loadgen" source --target 127.0.0.1:25 --auth mailing:mailing -c 20 --duration "$((rounds * 6))s" --size 10k --keep-going \
    --ledger "$scratch/acked" --quiet > "$scratch/source.out" 2>&1 & local load=$!
  helpers+=("$load")
  for round in $(seq "$rounds"); do
    sleep "$((RANDOM % 3 + 1)).$((RANDOM % 10))"
    docker kill kumomta-smtp > /dev/null
    docker start kumomta-smtp > /dev/null
  done
  wait "$load" || true
  "$bin/loadgen" verify --acked "$scratch/acked" --delivered "$scratch/got" --wait 120s > "$scratch/books" ||
    { cat "$scratch/books"; fail 'the books are not right'; }
  ok "docker kill under load, $rounds times:"
  cat "$scratch/books"
  ! logs_have panicked || fail 'the engine panicked'
}

# The schema checker comes from PyPI, into a folder of its own.
kubernetes() {
  python3 -m venv "$scratch/venv" > /dev/null 2>&1 && "$scratch/venv/bin/pip" install -q kubernetes-validate > "$scratch/pip.out" 2>&1 ||
    { printf '****** SKIPPED: kubernetes-validate cannot be installed (python3-venv, PyPI) ******\n'; return 0; }
  "$scratch/venv/bin/kubernetes-validate" --strict local/kubernetes.yaml > "$scratch/kubernetes" 2>&1 || { cat "$scratch/kubernetes"; fail 'local/kubernetes.yaml'; }
  ok "local/kubernetes.yaml is valid: $(grep -c '^kind:' local/kubernetes.yaml) objects"
}

[ -x "$bin/ringmta" ] && [ -x "$bin/loadgen" ] || fail "no ringmta and loadgen in $bin: cargo build -p ringmta -p loadgen"
docker_up
ports_are_free
begun=yes
base_image
[ -z "$from_source" ] || rust_image
image
receiver
words
rights
stop_and_start
kill_under_load
kubernetes
echo "containers: all of it in $SECONDS s"
