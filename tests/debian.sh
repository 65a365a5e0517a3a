#!/bin/bash
# Do both commands of the README work on a fresh Debian? For each suite a root is made with
# debootstrap, the checkout is copied into it, and `make demo` and `make check` are run there.
# Needs root, debootstrap and an hour a suite; not part of `make check`.
#
# usage: tests/debian.sh [--valkey] [--demo] [--keep] [SUITE…]     (bookworm trixie testing)
#   --valkey   valkey-server and valkey-cli instead of Redis
#   --demo     only `make demo`
#   --keep     leave the roots where they are, and take those that are there
# The mirror is the one that this system's apt uses (or MIRROR=URL); roots lie under ROOTS=/var/tmp.
set -u
cd "$(dirname "$0")/.." || exit 1
valkey='' demo='' keep='' failed=0
roots=${ROOTS:-/var/tmp}
while [ $# -gt 0 ]; do
	case $1 in
	--valkey) valkey=yes ;;
	--demo) demo=yes ;;
	--keep) keep=yes ;;
	-*) sed -n '2,/^set/s/^# \{0,1\}//p' "$0" && exit 2 ;;
	*) break ;;
	esac
	shift
done
[ $# -gt 0 ] || set -- bookworm trixie testing

skip() {
	echo "skip debian: $1"
	exit 0
}
[ "$(id -u)" = 0 ] || skip "only root can make a root file system"
for tool in debootstrap unshare chroot tar; do
	command -v $tool >/dev/null || skip "$tool is not installed"
done
if [ -z "${MIRROR:-}" ]; then
	MIRROR=$(apt-get indextargets --format '$(LABEL)|$(COMPONENT)|$(REPO_URI)' 'Created-By: Packages' 2>/dev/null |
		sed -n 's/^Debian|main|//p' | head -1)
fi
[ -n "$MIRROR" ] || skip "apt knows no mirror of Debian: apt-get update, or name one with MIRROR=URL"

# inside ROOT COMMAND…: processes and mounts of their own, which end with it
inside() {
	root=$1
	shift
	# shellcheck disable=SC2016 # for the inner shell
	unshare --mount --pid --fork sh -c '
		root=$1
		shift
		mount --make-rprivate / &&
			mount -t proc proc "$root/proc" && mount -t sysfs -o ro sysfs "$root/sys" &&
			mkdir -p "$root/dev/shm" "$root/dev/pts" && mount -t tmpfs tmpfs "$root/dev/shm" &&
			mount -t devpts -o newinstance,ptmxmode=0666 devpts "$root/dev/pts" &&
			ln -sf pts/ptmx "$root/dev/ptmx" && ln -sfn /proc/self/fd "$root/dev/fd" &&
			cp /etc/resolv.conf "$root/etc/resolv.conf" || exit 125
		exec chroot "$root" env -i HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
			LANG=C.UTF-8 TERM=dumb "$@"' sh "$root" "$@"
}

make_root() { # SUITE ROOT
	if [ -z "$keep" ] || [ ! -e "$2/etc/debian_version" ]; then
		rm -rf "$2"
		debootstrap --variant=minbase "$1" "$2" "$MIRROR" >"$2.log" 2>&1 || return 1
	fi
	# How this system's apt reaches its mirror.
	apt-config dump | grep -E '^Acquire::(http|https)::Proxy' >"$2/etc/apt/apt.conf.d/90host"
	rm -rf "$2/root/sumi"
	mkdir -p "$2/root/sumi"
	git ls-files -z --cached --others --exclude-standard | tar -c --null -T - --ignore-failed-read 2>/dev/null |
		tar -x -C "$2/root/sumi"
	# make is what the README takes for granted. A mirror of a suite that moves may be a while behind
	# the clock: its lists are those that debootstrap has left then.
	# shellcheck disable=SC2086 # several words
	inside "$2" sh -c 'apt-get update -qq; DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 \
		apt-get install -y -qq --no-install-recommends "$@"' sh make ${valkey:+valkey-server valkey-tools} \
		>>"$2.log" 2>&1
}

try() { # SUITE ROOT COMMAND…
	suite=$1 root=$2
	shift 2
	start=$(date +%s)
	inside "$root" sh -c "cd /root/sumi && $*" >"$root.log" 2>&1
	status=$?
	seconds=$(($(date +%s) - start))
	if [ $status = 0 ]; then
		echo "ok $suite: $* ($seconds s; $(tail -1 "$root.log"))"
	else
		echo "not ok $suite: $* (exit $status after $seconds s; $root.log)"
		tail -20 "$root.log" | sed 's/^/    /'
		failed=1
	fi
	return $status
}

for suite; do
	root=$roots/sumi-$suite
	if ! make_root "$suite" "$root"; then
		echo "skip $suite: no root can be made: $(tail -1 "$root.log")"
		continue
	fi
	try "$suite" "$root" make demo && { [ -n "$demo" ] || try "$suite" "$root" make check; }
	[ -n "$keep" ] || rm -rf "$root"
done
exit $failed
