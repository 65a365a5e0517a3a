#!/bin/sh
# bootstrap on systems that are played by stubs of their programs: what running needs is installed or
# named, what only tests need stops nothing.
set -u
cd "$(dirname "$0")/../.." || exit 1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
status=0

# system [STATUS]: an empty one with the shell's tools; STATUS is that of apt-get update
system() {
	rm -rf "$work/bin" "$work/asked"
	mkdir "$work/bin"
	: >"$work/installed"
	: >"$work/asked"
	for tool in sh env sort tr sed grep wc cat; do
		ln -s "$(command -v $tool)" "$work/bin/$tool"
	done
	stub id 'echo 0'
	stub apt-get 'echo "$*" >>'"$work"'/asked; [ "$1" != update ] || exit '"${1:-0}"
	# All packages are offered but those of $work/lacking.
	stub apt-cache 'grep -qx "$2" '"$work"'/lacking || echo "  Candidate: 1.0"'
	stub dpkg-query 'for p; do :; done; grep -qx "$p" '"$work"'/installed && echo "install ok installed"'
	stub pkg-config 'for p; do :; done; grep -qx "$p" '"$work"'/installed'
	: >"$work/lacking"
}

stub() {
	printf '#!/bin/sh\n%s\n' "$2" >"$work/bin/$1"
	chmod +x "$work/bin/$1"
}

run() { # ARGUMENTS…: leaves exit status in $code, output in $work/out
	PATH="$work/bin" ./bootstrap "$@" >"$work/out" 2>&1
	code=$?
}

say() { # CONDITION'S STATUS, NAME
	if [ "$1" = 0 ]; then
		echo "ok $2"
	else
		echo "not ok $2: exit $code, $(cat "$work/out" "$work/asked" | tr '\n' '|')"
		status=1
	fi
}

installs() { grep -q "^install .* $1\( \|\$\)" "$work/asked"; }

system
run
[ $code = 0 ] && installs gcc && installs pocl-opencl-icd && installs redis-server && installs libmp3lame0 && ! installs libcmocka-dev &&
	! installs python3 && ! installs vorbis-tools
say $? "running: what it needs is installed, and nothing of the tests"

system
run check
[ $code = 0 ] && installs gcc && installs libcmocka-dev && installs oclgrind
say $? "checking: both are installed, in one go"

system
echo oclgrind >"$work/lacking"
run check
[ $code = 0 ] && installs libcmocka-dev && ! installs oclgrind && grep -q 'skipped: .*oclgrind' "$work/out"
say $? "a test's tool that the system does not offer is named, and stops nothing"

system
echo libmp3lame0 >"$work/lacking"
run
[ $code = 0 ] && installs gcc && ! installs libmp3lame0 && grep -q 'left out .*libmp3lame0' "$work/out"
say $? "so is what running is glad of"

system
echo libpng-dev >"$work/lacking"
run
[ $code = 1 ] && grep -q 'does not offer all of: .*libpng-dev' "$work/out"
say $? "a library that it does not offer is an error"

system
echo redis-server >"$work/lacking"
run
[ $code = 0 ] && installs valkey-server
say $? "valkey-server where no redis-server is offered"

system
stub valkey-server true
run
[ $code = 0 ] && ! installs redis-server
say $? "valkey-server that is there will do"

system 100
run check
[ $code = 0 ] && installs gcc && grep -q 'cannot be fetched' "$work/out"
say $? "lists that cannot be fetched: those that are there are taken"

system
stub id 'echo 1000'
run
[ $code = 1 ] && grep -q 'As root: apt-get install .*gcc' "$work/out"
say $? "neither root nor sudo: what to install"

system
stub id 'echo 1000'
stub pkg-config true
stub dpkg-query 'echo install ok installed'
for tool in cc make redis-server; do stub $tool true; done
run check
[ $code = 0 ] && grep -q 'skipped: .*vorbis-tools' "$work/out" && [ ! -s "$work/asked" ]
say $? "neither root nor sudo, and only tests lack something: they are named, and it goes on"

system
rm "$work/bin/apt-get"
run check
[ $code = 1 ] && grep -q '^  hiredis' "$work/out" && grep -q 'redis-server or valkey-server' "$work/out" &&
	grep -q '^  oggdec' "$work/out"
say $? "another system: both lists"
exit $status
