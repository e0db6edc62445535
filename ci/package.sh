#!/usr/bin/env bash
# The Debian package, made of the program in CAMPAIGN_BIN (target/debug unless given), in fresh containers. First in one with
# nothing but the package: installed, run by hand, a message through, removed. Then in one with systemd, by the unit's own
# settings: its hardening score, readiness and watchdog, a message, reload, a crash, an upgrade that keeps edits, removal, purge.
. "$(dirname "${BASH_SOURCE[0]}")/docker.sh"

bin=$(realpath "${CAMPAIGN_BIN:-${CARGO_TARGET_DIR:-target}/debug}")
exposure_max=3
names=("ringmta-package-$$" "ringmta-systemd-$$")
clean() { docker rm -f "${names[@]}"; }
trouble() { docker exec "${names[1]}" journalctl -u ringmta --no-pager 2> /dev/null | tail -n 20; }
inside() { docker exec "$where" "$@"; }
here() { docker exec -i "$where" sh -euc "$1"; }
state() { inside systemctl show -P "$1" ringmta; }
is() { [ "$(state "$1")" = "$2" ]; }

# Mail from a container to its own engine, by hand: perl is in every Debian system. It prints the reply to the dot.
send() {
  docker exec -i "$where" perl - << 'PERL'
use strict; use IO::Socket::INET;
my $smtp = IO::Socket::INET->new(PeerAddr => '127.0.0.1:25', Timeout => 10) or die "port 25: $!\n";
sub answer { my $line; do { $line = <$smtp> // die "closed\n" } while $line =~ /^...-/; $line }
answer();
for my $line ('EHLO client.example', 'MAIL FROM:<a@example.com>', 'RCPT TO:<u@example.net>', 'DATA') {
  print $smtp "$line\r\n"; my $got = answer(); die "$line: $got" if $got =~ /^[45]/;
}
print $smtp "Subject: packaged\r\n\r\nhello\r\n.\r\n";
my $got = answer(); print $got; exit($got =~ /^250/ ? 0 : 1);
PERL
}

packages() {
  local version=$1 folder=$scratch/debs
  SOURCE_DATE_EPOCH=$(git log -1 --format=%ct 2> /dev/null || date +%s) ci/deb.sh "$bin/ringmta" "$folder" "$version" > "$scratch/made"
  cat "$scratch/made"
}

install_package() {
  docker cp "$scratch/debs/ringmta_$1_$(dpkg --print-architecture).deb" "$where:/tmp/ringmta.deb"
  here 'apt-get update -qq; DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends /tmp/ringmta.deb' > "$scratch/apt" 2>&1 ||
    { tail -n 20 "$scratch/apt"; fail 'apt cannot install the package'; }
}

# The shipped tree in development: everything goes to an inbox beside it.
to_an_inbox() {
  here 'printf "RINGMTA_MODE=development\nRINGMTA_SANDBOX=127.0.0.1:1025\n" >> /etc/ringmta/environment'
}
nothing_left() {
  local left
  left=$(here 'find / -xdev \( -path /proc -o -path /sys -o -path /tmp -o -path /var/lib/dpkg -o -path /var/log/apt -o -path /var/cache \) -prune -o -iname "*ringmta*" -print; getent passwd ringmta || true')
  [ -z "$left" ] || fail "left after the purge: $left"
}

fresh_container() {
  where=${names[0]}
  # Docker's own profile forbids io_uring, ours forbids apt.
  docker run -d --name "$where" --security-opt seccomp=unconfined "$base" sleep infinity > /dev/null
  install_package 1.0
  ok "installed in a fresh container: $(inside ringmta --version)"
  to_an_inbox
  docker exec -d "$where" ringmta sandbox
  docker exec -d "$where" sh -c 'set -a; . /etc/ringmta/environment; RINGMTA_SPOOL=/var/lib/ringmta RINGMTA_LOG_DIR=/var/log/ringmta
    install -d -o ringmta -g ringmta -m 700 /var/lib/ringmta /var/log/ringmta
    exec ringmta run --user ringmta --policy /etc/ringmta/policy/init.lua 2> /tmp/ringmta.out'
  wait_for 30 'an engine that is well' inside ringmta healthcheck
  send > "$scratch/reply" || fail 'mail was not taken'
  wait_for 20 'the mail in the inbox' here 'perl -MIO::Socket::INET -e "\$s = IO::Socket::INET->new(q(127.0.0.1:8025)) or exit 1;
    print \$s qq(GET /api/v1/messages HTTP/1.0\r\nHost: localhost\r\n\r\n); \$a = join q(), <\$s>; exit(\$a =~ /packaged/ ? 0 : 1)"'
  inside ringmta check --offline --policy /etc/ringmta/policy/init.lua > "$scratch/check" || true
  grep -q '^ok    io_uring' "$scratch/check" || { cat "$scratch/check"; fail 'ringmta check'; }
  inside test -s /usr/share/man/man1/ringmta.1.gz
  inside test -s /usr/share/bash-completion/completions/ringmta
  ok "run, a message through; ringmta check: $(tail -1 "$scratch/check")"
  inside pkill -x ringmta
  wait_for 10 'its end' here '! grep -lx ringmta /proc/[0-9]*/comm'
  here 'apt-get purge -y -qq ringmta' > "$scratch/apt" 2>&1 || { cat "$scratch/apt"; fail 'purge'; }
  nothing_left
  ok 'purged: nothing left'
}

systemd_container() {
  where=${names[1]}
  mkdir -p "$scratch/systemd"
  printf 'FROM %s\nRUN apt-get update -qq && apt-get install -y -qq --no-install-recommends systemd systemd-sysv && rm -rf /var/lib/apt/lists/*\n%s\n%s\n' \
    "$base" 'STOPSIGNAL SIGRTMIN+3' 'CMD ["/lib/systemd/systemd"]' > "$scratch/systemd/Dockerfile"
  docker build -q -t ringmta-systemd "$scratch/systemd" > "$scratch/systemd/out" 2>&1 || { tail "$scratch/systemd/out"; fail 'no image with systemd'; }
  # Not --privileged: that needs CAP_SYS_RESOURCE, which machines that are containers themselves may not have.
  docker run -d --name "$where" --cap-add ALL --cap-drop SYS_RESOURCE --security-opt seccomp=unconfined --security-opt apparmor=unconfined \
    --tmpfs /run --tmpfs /run/lock -v /sys/fs/cgroup:/sys/fs/cgroup:rw --cgroupns=host ringmta-systemd > /dev/null
  # Whether systemd runs in a container is the machine's affair: its cgroups, and what it lets containers do.
  local end=$((SECONDS + 60))
  until here 'systemctl is-system-running | grep -Eq "running|degraded"' > /dev/null 2>&1; do
    [ "$SECONDS" -lt "$end" ] || skip "systemd does not start in a container here: $(docker logs "$where" 2>&1 | tail -1)"
    sleep 0.2
  done
}

unit() {
  install_package 1.0
  is ActiveState inactive || fail 'it was started before anybody has looked at its policy'
  to_an_inbox
  inside systemd-run -q --unit=inbox ringmta sandbox
  inside systemctl start ringmta || fail 'the unit does not start'
  is ActiveState active || fail 'not active'
  [ -n "$(state WatchdogTimestamp)" ] || fail 'the watchdog has heard nothing'
  ok "systemctl start: $(state ActiveState), $(state StatusText), user $(state User), watchdog heard at $(state WatchdogTimestamp)"
  local exposure; exposure=$(inside systemd-analyze security ringmta.service --no-pager | sed -n 's/.*exposure level for ringmta.service: \([0-9.]*\).*/\1/p')
  [ "${exposure%.*}" -lt "$exposure_max" ] || fail "exposure $exposure"
  ok "systemd-analyze security: $exposure"
  send > "$scratch/reply" || fail 'mail was not taken'
  inside systemctl reload ringmta || fail 'the unit does not reload'
  wait_for 10 'the reload in the journal' here 'journalctl -u ringmta | grep -q "policy reloaded"'
  is StatusText 'takes mail' || fail 'not ready again'
  local pid; pid=$(state MainPID)
  inside kill -KILL "$pid"
  wait_for 20 'a start after a crash' here "[ \"\$(systemctl show -P MainPID ringmta)\" != $pid ] && systemctl is-active -q ringmta && ringmta healthcheck"
  ok 'reloaded, killed and back by itself'
}

sockets() {
  inside systemctl stop ringmta
  inside systemctl enable -q --now ringmta.socket || fail 'the socket unit does not start'
  is ActiveState inactive || fail 'the socket unit has started the service'
  send > "$scratch/reply" || fail 'a connection to the socket of systemd does not start the service'
  inside perl -MIO::Socket::INET -e '$no = 0; for (1 .. 150) {
    IO::Socket::INET->new(PeerAddr => q(127.0.0.1:25), Timeout => 20) or $no++; select undef, undef, undef, 0.02;
  } print qq($no\n)' > "$scratch/refused" & local asking=$!
  inside systemctl restart ringmta
  wait "$asking"
  [ "$(cat "$scratch/refused")" = 0 ] || fail "$(cat "$scratch/refused") of 150 connections were refused during a restart"
  ok 'sockets of systemd: started by a connection, none of 150 refused during a restart'
}

upgrade() {
  here 'echo "-- edited" >> /etc/ringmta/policy/policy/site.lua'
  local pid; pid=$(state MainPID)
  install_package 1.1
  is ActiveState active || fail 'not running after the upgrade'
  [ "$(state MainPID)" != "$pid" ] || fail 'the upgrade left the old program running'
  here 'grep -q -- "-- edited" /etc/ringmta/policy/policy/site.lua' || fail 'an edit was lost'
  send > "$scratch/reply" || fail 'mail was not taken after the upgrade'
  ok 'upgraded: restarted, edits kept'
  here 'apt-get remove -y -qq ringmta' > "$scratch/apt" 2>&1 || { cat "$scratch/apt"; fail 'remove'; }
  inside test -d /var/lib/ringmta/data || fail 'a removal took the mail with it'
  ! is ActiveState active || fail 'a removed engine goes on'
  inside systemctl stop inbox
  here 'apt-get purge -y -qq ringmta' > "$scratch/apt" 2>&1 || { cat "$scratch/apt"; fail 'purge'; }
  nothing_left
  ok 'removed with the mail kept, then purged: nothing left'
}

[ -x "$bin/ringmta" ] || fail "no ringmta in $bin: cargo build -p ringmta"
docker_up
base_image
packages 1.0
fresh_container
packages 1.1 > /dev/null
systemd_container
unit
sockets
upgrade
echo "package: all of it in $SECONDS s"
