#!/usr/bin/env bash
# Tries the README and the guides on a machine that has Debian and Go, and nothing else:
# a Debian 12 of its own, in a container that boots systemd. As root, with the packages
# systemd-container and debootstrap, in some minutes.
#
#   deploy/try/fresh.sh [DIR]
#
# DIR is where that Debian is, and is made if it is not there; without it there is a new
# one, which goes at the end. It shares this machine's network: ports 443, 8080, 8090, 8091,
# 8443 and 6379 must be free. MAKE_TEST=1 also runs "make test" in it.
set -euo pipefail

root=$(cd "$(dirname "$0")/../.." && pwd)
dir=${1:-$(mktemp -d)}
keep=${1:-}
mirror=$(awk '/^URIs:/ {print $2; exit} /^deb / {print $2; exit}' /etc/apt/sources.list.d/*.sources /etc/apt/sources.list 2>/dev/null || true)
nspawn=
end() {
  [ -z "$nspawn" ] || { kill -TERM "$nspawn" && wait "$nspawn"; } 2>/dev/null || true
  if [ -z "$keep" ]; then rm -rf "$dir" "$dir.log"; fi
}
trap end EXIT

if [ ! -e "$dir/etc/debian_version" ]; then
  echo "== a fresh Debian in $dir"
  debootstrap --variant=minbase --include=systemd,systemd-sysv,dbus,ca-certificates,make,git bookworm "$dir" ${mirror:+"$mirror"} >/dev/null
fi
echo '127.0.0.1 localhost files.example.com' >"$dir/etc/hosts"
rm -rf "$dir/root/s3gate"
git clone -q "$root" "$dir/root/s3gate"
cp /etc/ssl/certs/ca-certificates.crt "$dir/etc/ssl/certs/" # what reaches the Go module proxy here does there

echo "== boot it"
systemd-nspawn --quiet --directory="$dir" --boot --register=no --keep-unit --resolv-conf=copy-host \
  --bind-ro="$(go env GOROOT):/usr/local/go" </dev/null >"$dir.log" 2>&1 &
nspawn=$!
leader=
for _ in $(seq 100); do
  leader=$(tr -d ' ' <"/proc/$nspawn/task/$nspawn/children" || true)
  if [ -n "$leader" ] && nsenter --target "$leader" --all systemctl is-active --quiet multi-user.target 2>/dev/null; then break; fi
  sleep 0.3
done
nsenter --target "$leader" --all env -i HOME=/root TERM=dumb PATH=/usr/local/go/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
  GOPROXY="$(go env GOPROXY)" GONOSUMDB="$(go env GONOSUMDB)" MAKE_TEST="${MAKE_TEST:-}" bash /root/s3gate/deploy/try/inside.sh
