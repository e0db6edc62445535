#!/usr/bin/env bash
# Installs the real peers that tests talk to, so that nothing is skipped. Needs root and apt; elsewhere it says so and
# goes on: the tests then say what they skip.
set -euo pipefail
packages=(curl swaks libnet-ssleay-perl postfix python3-dkim opendkim opendkim-tools redis-server nats-server rabbitmq-server python3-spf prometheus)
missing=()
for package in "${packages[@]}"; do
  dpkg -s "$package" > /dev/null 2>&1 || missing+=("$package")
done
if [ ${#missing[@]} = 0 ]; then
  echo "all peers are installed: ${packages[*]}"
elif ! command -v apt-get > /dev/null || [ "$(id -u)" != 0 ]; then
  echo "not installed, and not mine to install here: ${missing[*]}; tests that need them are skipped"
else
  export DEBIAN_FRONTEND=noninteractive
  # No service is wanted, only the programs.
  printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d && chmod +x /usr/sbin/policy-rc.d
  apt-get update -qq
  apt-get install -y -qq --no-install-recommends "${missing[@]}" > /dev/null
  rm -f /usr/sbin/policy-rc.d
  echo "installed: ${missing[*]}"
fi
