#!/usr/bin/env bash
# debian-sources.sh SUITE - prints apt sources of SUITE and of its security updates, from the very archives that this
# machine's own Debian sources name. Prints nothing and exits with 1 where it has none (Ubuntu): then say MIRROR=
# and SECURITY=.
set -euo pipefail
suite=${1:?which suite}
site() {   # the first archive with that label
  apt-get indextargets --format '$(LABEL)|$(SITE)' 'Created-By: Packages' | awk -F'|' -v l="$1" '$1==l{print $2; exit}'
}
if [ -z "${MIRROR:-}$(site Debian)" ]; then apt-get update -qq >&2 || true; fi   # a machine without package lists
main=${MIRROR:-$(site Debian)}; security=${SECURITY:-$(site Debian-Security)}
[ -n "$main" ] || { echo "debian-sources: this machine has no Debian sources; name an archive: MIRROR=… SECURITY=…" >&2; exit 1; }
keys=/usr/share/keyrings/debian-archive-keyring.gpg; by=""
[ -r $keys ] && by="[signed-by=$keys] "
echo "deb $by$main $suite main"
[ -z "$security" ] || echo "deb $by$security $suite-security main"
