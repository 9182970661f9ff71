#!/bin/sh
# Install the system packages CLX's converters and tests need, where they are missing (Debian and Ubuntu).
set -eu
missing=""
need() { # need COMMAND PACKAGE
    command -v "$1" >/dev/null 2>&1 || missing="$missing $2"
}
need java default-jre-headless
need dot graphviz
need git git
python3 -c "import venv, ensurepip" 2>/dev/null || missing="$missing python3-venv"
[ -n "$(ls /usr/share/fonts/truetype/dejavu 2>/dev/null)" ] || missing="$missing fonts-dejavu-core fontconfig"
[ -n "$(ls /usr/share/fonts/truetype/liberation* 2>/dev/null)" ] || missing="$missing fonts-liberation"
if ! command -v chromium-headless-shell >/dev/null 2>&1 && ! command -v chromium >/dev/null 2>&1 &&
    ! command -v google-chrome >/dev/null 2>&1; then
    missing="$missing chromium-headless-shell"
fi
[ -n "$missing" ] || exit 0
if ! command -v apt-get >/dev/null 2>&1; then
    echo "Please install:$missing" >&2
    exit 1
fi
echo "Installing:$missing"
$SUDO env DEBIAN_FRONTEND=noninteractive apt-get update -qq
# shellcheck disable=SC2086  # a list of packages
$SUDO env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq -o DPkg::Lock::Timeout=180 --no-install-recommends $missing >/dev/null
