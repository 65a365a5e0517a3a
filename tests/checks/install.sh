#!/bin/sh
# make install puts things where they belong, what it installs works, make uninstall leaves nothing.
set -u
cd "$(dirname "$0")/../.." || exit 1
build=${BUILD:-build}
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
status=0

check() {
	name=$1
	shift
	if "$@" >"$root/out" 2>&1; then
		echo "ok $name"
	else
		echo "not ok $name"
		cat "$root/out"
		status=1
	fi
}

nothing_left() { [ -z "$(find "$root/x" ! -type d)" ]; }
units_name_prefix() { grep -q "^ExecStart=/opt/sumi/bin/sumid" "$root/x/opt/sumi/lib/systemd/system/sumid.service"; }

check "make install" make -s BUILD="$build" DESTDIR="$root/x" PREFIX=/opt/sumi install
for file in bin/sumi bin/sumid bin/sumi-gateway lib/systemd/system/sumid.service lib/sysusers.d/sumi.conf \
	lib/systemd/system/sumi-gateway.service lib/systemd/system/sumi-gateway.socket share/man/man1/sumi-gateway.1 \
	share/man/man1/sumi.1 share/man/man5/sumi.conf.5 share/man/man8/sumid.8 \
	share/doc/sumi/README.md share/doc/sumi/PROTOCOL.md \
	share/bash-completion/completions/sumi share/zsh/site-functions/_sumi \
	share/fish/vendor_completions.d/sumi.fish; do
	check "installed: $file" test -s "$root/x/opt/sumi/$file"
done
if command -v python3 >/dev/null; then
	check "links of the installed documents" tests/checks/links.py "$root/x/opt/sumi/share/doc/sumi"
else
	echo "skip links of the installed documents: python3 is not installed"
fi
check "the installed sumi runs" "$root/x/opt/sumi/bin/sumi" --version
check "the unit names the prefix" units_name_prefix
check "make uninstall" make -s BUILD="$build" DESTDIR="$root/x" PREFIX=/opt/sumi uninstall
check "nothing is left" nothing_left
exit $status
