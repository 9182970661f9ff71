#!/usr/bin/env bash
# mkbase.sh - the local bases that stand in for python:slim where no image registry can be reached.
#
#   mkbase.sh        -> clx-base:local         Python only
#                       clx-base-tools:local   Debian with Python, Java, Graphviz and Chromium: for the worker images
#
# Both carry this machine's interpreter below /usr/local, as the official images do. The Dockerfiles find the
# Debian packages they would install already there. Keyed by a label: a second call does nothing.
# Takes mmdebstrap (apt-get install mmdebstrap) and the archives of this machine's Debian sources.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
TAG=clx-base-tools:local
SUITE=${SUITE:-bookworm}
PACKAGES=openjdk-17-jre-headless,graphviz,fonts-dejavu-core,fonts-dejavu-extra,fonts-liberation,chromium-headless-shell,ca-certificates
LIBRARIES=libssl3,libffi8,libsqlite3-0,libbz2-1.0,liblzma5,libreadline8,zlib1g,libncursesw6,libuuid1,tzdata

"$here/mkimage.sh"
KEY=$( { cat "$0" "$here/mkimage.sh"; echo "$SUITE"; docker image inspect -f '{{.Id}}' clx-base:local; } | sha256sum | cut -c1-16)
have=$(docker image inspect -f '{{index .Config.Labels "clx.mkbase"}}' "$TAG" 2>/dev/null || true)
if [ "$have" = "$KEY" ]; then echo "mkbase: $TAG is up to date ($KEY)"; exit 0; fi
command -v mmdebstrap >/dev/null || apt-get install -y -qq --no-install-recommends mmdebstrap >/dev/null

W=$(mktemp -d "${TMPDIR:-/tmp}/mkbase.XXXXXX"); trap 'rm -rf "$W"' EXIT
"$here/debian-sources.sh" "$SUITE" > "$W/sources.list"
OUT=$W/python.tar "$here/mkimage.sh" >/dev/null
# the Java package wants to link its manual page, whose directory is left out with all documentation
mmdebstrap --quiet --variant=minbase --include="$PACKAGES,$LIBRARIES" \
  --setup-hook='mkdir -p "$1/usr/share/man/man1"' \
  --dpkgopt='path-exclude=/usr/share/man/*/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
  --dpkgopt='path-exclude=/usr/share/doc/*' \
  --customize-hook="tar -C \"\$1\" --skip-old-files --keep-directory-symlink -xf $W/python.tar" \
  --customize-hook='rm -rf "$1"/var/lib/apt/lists/* "$1"/var/cache/apt/*' \
  "$SUITE" "$W/base.tar" "$W/sources.list" 2>"$W/log" || { tail -20 "$W/log" >&2; exit 1; }
docker import -c 'ENV PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin LANG=C.UTF-8 PYTHONUNBUFFERED=1' \
  -c 'CMD ["python3"]' -c "LABEL clx.mkbase=$KEY" "$W/base.tar" "$TAG" >/dev/null
echo "mkbase: made $TAG ($(du -m "$W/base.tar" | cut -f1) MB, key $KEY)"
