#!/usr/bin/env bash
# compose-v2.sh - `docker compose`, version 2, beside the distribution's docker-compose 1.29. As root; a second call
# does nothing.
#
# Ubuntu has it as a package. Debian 12 has not: there the one of Debian 13 is taken out of its package, which this
# machine's own archives carry too. The machine's sources, package lists and installed packages stay as they are.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
PLUGIN=/usr/local/lib/docker/cli-plugins/docker-compose
SUITE=${COMPOSE_SUITE:-trixie}
there() { docker compose version --short 2>/dev/null | grep -qE '^v?[2-9]'; }

if there; then echo "compose-v2: $(docker compose version --short) is there"; exit 0; fi
if apt-cache policy docker-compose-v2 2>/dev/null | grep -q 'Candidate: [0-9]'; then
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq -o DPkg::Lock::Timeout=180 --no-install-recommends docker-compose-v2 >/dev/null
else
  W=$(mktemp -d "${TMPDIR:-/tmp}/compose.XXXXXX"); trap 'rm -rf "$W"' EXIT
  chmod 755 "$W"; mkdir -p "$W/state/lists/partial" "$W/cache/archives/partial" "$W/parts"
  "$here/debian-sources.sh" "$SUITE" > "$W/sources.list"
  own=(-o Dir::Etc::SourceList="$W/sources.list" -o Dir::Etc::SourceParts="$W/parts" -o Dir::State="$W/state"
       -o Dir::State::status=/dev/null -o Dir::Cache="$W/cache" -o Acquire::Languages=none -o APT::Sandbox::User=root)
  apt-get "${own[@]}" update -qq >/dev/null
  (cd "$W" && apt-get "${own[@]}" download -qq docker-compose >/dev/null)
  dpkg -x "$W"/docker-compose_*.deb "$W/package"
  binary=$(find "$W/package" -path '*cli-plugins/docker-compose' -type f | head -1)
  [ -n "$binary" ] || { echo "compose-v2: the docker-compose of $SUITE holds no plugin" >&2; exit 1; }
  install -D -m 755 "$binary" "$PLUGIN"
fi
there || { echo "compose-v2: installed, but \`docker compose version\` does not say 2" >&2; exit 1; }
echo "compose-v2: installed $(docker compose version --short)"
