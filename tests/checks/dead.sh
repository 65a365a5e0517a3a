#!/bin/sh
# No function that nobody calls: whatever an object defines for others is used by another object of the
# program, or by a test. One that only its own file uses is static.
set -u
cd "$(dirname "$0")/../.." || exit 1
objects=${BUILD:-build}/obj
command -v nm >/dev/null 2>&1 || {
	echo "skip dead functions: no nm"
	exit 0
}
# Objects of files that are gone may lie there still.
files=
for source in base/*.c request/*.c media/*.c backends/*.c backends/*/*.c weights/*.c networks/*.c \
	diffusion/*.c modalities/*.c hub/*.c queue/*.c storage/*.c daemon/*.c gateway/*.c cli/*.c; do
	[ -e "$objects/${source%.c}.o" ] && files="$files $objects/${source%.c}.o"
done
[ -n "$files" ] || {
	echo "not ok dead functions: nothing is built in $objects"
	exit 1
}
# shellcheck disable=SC2086 # names of the sources, without spaces
unused=$(nm -A $files | awk '
	{ name = $NF; type = $(NF - 1); split($1, file, ":") }
	type == "U" { used[name] }
	type ~ /^[TDBRC]$/ && name != "main" { where[name] = file[1] }
	END { for (name in where) if (!(name in used)) print name, where[name] }' | sort |
	while read -r name where; do
		grep -rqw --include='*.[ch]' "$name" tests bench || echo "$name in $where"
	done)
if [ -z "$unused" ]; then
	echo "ok every function is called by another file, or static"
else
	echo "not ok every function is called by another file, or static"
	echo "$unused"
	exit 1
fi
