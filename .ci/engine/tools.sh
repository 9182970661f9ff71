#!/usr/bin/env bash
# tools.sh - what the container tests use besides the engine: mmdebstrap for local bases, Compose 1.29 and 2. As root;
# a second call does nothing.
set -euo pipefail
want=()
command -v mmdebstrap >/dev/null || want+=(mmdebstrap)
command -v docker-compose >/dev/null || want+=(docker-compose)
if [ ${#want[@]} -gt 0 ]; then
  apt-get update -qq >/dev/null 2>&1 || true   # the distribution's own lists are enough
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq -o DPkg::Lock::Timeout=180 --no-install-recommends "${want[@]}" >/dev/null
  echo "tools: installed ${want[*]}"
fi
bash "$(dirname "$0")/compose-v2.sh"
