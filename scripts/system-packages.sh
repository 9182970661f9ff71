#!/bin/sh
# Install the system packages CLX's converters and tests need, where they are missing (Debian and Ubuntu).
set -eu
missing=""
updated=""
has() { command -v "$1" >/dev/null 2>&1; }
need() { # need COMMAND PACKAGE
    has "$1" || missing="$missing $2"
}
apt_has() { # apt_has PACKAGE
    LC_ALL=C apt-cache policy "$1" 2>/dev/null | grep -q 'Candidate: [^(]'
}
update() {
    [ -n "$updated" ] || $SUDO env DEBIAN_FRONTEND=noninteractive apt-get update -qq
    updated=yes
}
# Ubuntu has Chromium only as a snap; there `make tools` fetches one, for which it needs npm. That one brings its
# libraries along, all but the C library and libgcc, which every system has.
need_browser() {
    if has chromium-headless-shell || has chromium || has google-chrome; then return; fi
    if ! has apt-get; then
        need npm chromium
        return
    fi
    # A fresh container has no package lists yet.
    if ! has npm && ! apt_has chromium-headless-shell; then update; fi
    if apt_has chromium-headless-shell; then
        missing="$missing chromium-headless-shell"
    else
        need npm npm
    fi
}
need java default-jre-headless
need dot graphviz
need git git
need strace strace # the fault tests
need sqlite3 sqlite3
# a server of the tests' own: Debian keeps its programs out of PATH
ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || missing="$missing postgresql"
python3 -c "import venv, ensurepip" 2>/dev/null || missing="$missing python3-venv"
[ -n "$(ls /usr/share/fonts/truetype/dejavu 2>/dev/null)" ] || missing="$missing fonts-dejavu-core fontconfig"
[ -n "$(ls /usr/share/fonts/truetype/liberation* 2>/dev/null)" ] || missing="$missing fonts-liberation"
need_browser
[ -n "$missing" ] || exit 0
if ! has apt-get; then
    echo "Please install:$missing" >&2
    exit 1
fi
# The tests start servers of their own; Debian's installation would make one that runs for ever. It reads this first.
no_server() {
    case " $missing " in *" postgresql "*) ;; *) return 0 ;; esac
    $SUDO mkdir -p /etc/postgresql-common/createcluster.d
    echo "create_main_cluster = false" | $SUDO tee /etc/postgresql-common/createcluster.d/clx.conf >/dev/null
}
echo "Installing:$missing"
no_server
update
# shellcheck disable=SC2086  # a list of packages
$SUDO env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq -o DPkg::Lock::Timeout=180 --no-install-recommends $missing >/dev/null
