# What scripts that need a Docker engine share; sourced by them. They use the engine that runs, or start one of their own, and
# end it; the base image is made by debootstrap, so nothing need be pulled. Where there can be no engine they say so loudly.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
base=debian:bookworm-slim
scratch='' daemon='' helpers=()

skip() { printf '\n****** SKIPPED: %s ******\n' "$*"; exit 0; }
fail() {
  echo "failed: $*"
  type trouble > /dev/null 2>&1 && trouble
  exit 1
}
ok() { printf 'ok   %s\n' "$*"; }

# wait_for SECONDS WHAT COMMAND...
wait_for() {
  local end=$((SECONDS + $1)) what=$2; shift 2
  until "$@" > /dev/null 2>&1; do
    [ "$SECONDS" -lt "$end" ] || fail "waited in vain for $what"
    sleep 0.2
  done
}

program() { command -v "$1" > /dev/null || [ -x "/usr/sbin/$1" ]; }

install_docker() {
  local missing=()
  { command -v docker > /dev/null && { docker info > /dev/null 2>&1 || program dockerd; }; } || missing+=(docker.io iptables)
  docker compose version > /dev/null 2>&1 || program docker-compose || missing+=(docker-compose)
  program debootstrap || missing+=(debootstrap)
  [ ${#missing[@]} -gt 0 ] || return 0
  [ "$(id -u)" = 0 ] && command -v apt-get > /dev/null || skip "not installed: ${missing[*]}"
  # Later releases have the client in a package of its own.
  [[ " ${missing[*]} " != *' docker.io '* ]] || ! apt-cache show docker-cli > /dev/null 2>&1 || missing+=(docker-cli)
  # No service is wanted: the engine is started below, with what this machine allows.
  if [ ! -e /usr/sbin/policy-rc.d ]; then
    printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d && chmod +x /usr/sbin/policy-rc.d
    trap 'rm -f /usr/sbin/policy-rc.d' RETURN
  fi
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" > /dev/null ||
    skip "apt could not install ${missing[*]}"
}

# An engine, ours for this run unless there is one. overlay2 where the kernel has it, else plain copies; cgroups of either
# version, the bridge by iptables.
docker_up() {
  scratch=$(mktemp -d -p /var/tmp)
  trap 'docker_down' EXIT
  install_docker
  compose_command
  ! docker info > /dev/null 2>&1 || return 0
  [ "$(id -u)" = 0 ] || skip 'a Docker engine can be started by root only'
  local driver=overlay2
  modprobe overlay 2> /dev/null || true
  grep -qw overlay /proc/filesystems || driver=vfs
  export DOCKER_HOST=unix://$scratch/docker.sock
  "$(command -v dockerd || echo /usr/sbin/dockerd)" -H "$DOCKER_HOST" --data-root "$scratch/data" --exec-root "$scratch/exec" -p "$scratch/pid" \
    --storage-driver "$driver" > "$scratch/dockerd.out" 2>&1 & daemon=$!
  local turn
  for turn in $(seq 150); do
    ! docker info > /dev/null 2>&1 || return 0
    kill -0 "$daemon" 2> /dev/null || break
    sleep 0.2
  done
  skip "no Docker engine can be started here: $(grep -v level=info "$scratch/dockerd.out" | tail -1)"
}

# `docker compose` where only the program of its first version is there: the same commands by way of it.
compose_command() {
  ! docker compose version > /dev/null 2>&1 || return 0
  export DOCKER_CONFIG=$scratch/docker
  mkdir -p "$DOCKER_CONFIG/cli-plugins"
  cat > "$DOCKER_CONFIG/cli-plugins/docker-compose" << 'PLUGIN'
#!/bin/sh
if [ "$1" = docker-cli-plugin-metadata ]; then
  echo '{"SchemaVersion":"0.1.0","Vendor":"Debian","Version":"1","ShortDescription":"docker-compose"}'
  exit
fi
shift
exec docker-compose "$@"
PLUGIN
  chmod +x "$DOCKER_CONFIG/cli-plugins/docker-compose"
}

docker_down() {
  local status=$?
  trap - EXIT
  type clean > /dev/null 2>&1 && clean > /dev/null 2>&1
  kill "${helpers[@]}" 2> /dev/null || true
  if [ -n "$daemon" ]; then
    kill "$daemon" 2> /dev/null || true
    wait "$daemon" 2> /dev/null || true
  fi
  [ -z "$scratch" ] || rm -rf --one-file-system "$scratch"
  exit "$status"
}

# The base image, made here where it is not there yet; kept beside the build's output for the next engine.
base_image() {
  local debootstrap kept=${CARGO_TARGET_DIR:-target}/base-image.tar
  if [ ! -s "$kept" ] && ! docker image inspect "$base" > /dev/null 2>&1; then
    debootstrap=$(command -v debootstrap || echo /usr/sbin/debootstrap)
    timeout 900 "$debootstrap" --variant=minbase bookworm "$scratch/rootfs" > "$scratch/debootstrap.out" 2>&1 ||
      skip "debootstrap: $(tail -1 "$scratch/debootstrap.out")"
    rm -rf "$scratch"/rootfs/var/cache/apt/archives/*.deb "$scratch"/rootfs/var/lib/apt/lists/*
    mkdir -p "$(dirname "$kept")"
    tar -C "$scratch/rootfs" -cf "$kept.new" .
    mv "$kept.new" "$kept"
    rm -rf "$scratch/rootfs"
  fi
  docker image inspect "$base" > /dev/null 2>&1 || docker import "$kept" "$base" > /dev/null
  timeout 300 docker run --rm "$base" apt-get update -qq > "$scratch/first.out" 2>&1 ||
    skip "containers cannot run here, or have no way out: $(tail -1 "$scratch/first.out")"
}
