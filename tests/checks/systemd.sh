#!/bin/sh
# The units are valid and as confined as the project promises (exposure of at most 1.8, of what faces the
# network 1.2).
set -u
if ! command -v systemd-analyze >/dev/null; then
	echo "skip units: systemd-analyze is not installed"
	exit 0
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail=0
say() { # STATUS NAME FILE-WITH-DETAILS
	if [ "$1" = 0 ]; then
		echo "ok $2"
	else
		echo "not ok $2"
		sed 's/^/# /' "$3"
		fail=1
	fi
}
# The programs need not be installed for the check: point at the built ones.
for unit in systemd/*.service systemd/*.socket systemd/*.timer; do
	sed "s|/usr/local/bin/|$PWD/${BUILD:-build}/bin/|" "$unit" >"$work/$(basename "$unit")"
done
for unit in "$work"/*.service; do
	name=$(basename "$unit")
	limit=18 # tenths
	[ "$name" = sumi-gateway.service ] && limit=12
	systemd-analyze security --offline=true --threshold=$limit "$unit" >"$work/log" 2>&1
	say $? "exposure $name" "$work/log"
done
for unit in "$work"/*.service "$work"/*.socket "$work"/*.timer; do
	name=$(basename "$unit")
	systemd-analyze verify --man=no "$unit" >"$work/log" 2>&1
	status=$?
	# Only what concerns our own units: the host's may have quirks of their own.
	grep -E "sumi" "$work/log" >"$work/ours"
	[ -s "$work/ours" ] && status=1
	say $status "verify $name" "$work/ours"
done
exit $fail
