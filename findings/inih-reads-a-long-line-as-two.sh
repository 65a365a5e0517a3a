#!/bin/sh
# libinih 55 (Debian's 55-1): a line of more than 199 bytes is read as two lines, and all is well. The value is cut, and
# what lay behind the cut is a key of its own wherever it holds a "=" or a ":"; without one the line's number comes back
# as an error.
#
# A long value with "=" in it is usual: a URL with a query, a list of paths, a token. Its tail then sets something: below
# the tail of "token" names the key that follows in the file, so the program sees another retries than the one written
# there, first, and both calls return 0. The library is built with a buffer of 200 bytes; a program cannot make it larger
# without building its own. What can be done is to look at the length of lines before the library sees them.
#
# Seen: token of 190 bytes, retries = 99, retries = 3; the same of a file and of a text.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
version=55-1
apt-get download -qq "libinih1=$version" "libinih-dev=$version" 2>/dev/null || {
	echo "skip: apt offers no libinih1 $version here"
	exit 0
}
for deb in *.deb; do dpkg -x "$deb" root; done
lib=$(dirname "$(find root -name 'libinih.so.1')")

cat >try.c <<'C'
#include <ini.h>
#include <stdio.h>
#include <string.h>

static int on_pair(void *user, const char *section, const char *name, const char *value)
{
	char *out = user;
	(void)section;
	out += strlen(out);
	if (strlen(value) > 9)
		sprintf(out, "%s = %zu bytes\n", name, strlen(value));
	else
		sprintf(out, "%s = %s\n", name, value);
	return 1;
}

int main(void)
{
	static const char expected[] = "token = 190 bytes\nretries = 99\nretries = 3\n";
	char text[400] = "token = ", of_text[400] = "", of_file[400] = "";
	memset(text + 8, 'k', 190); /* 198 bytes and what follows: the library's buffer takes 199 and the end */
	strcpy(text + 198, " retries=99\nretries = 3\n");
	FILE *f = fopen("settings.ini", "w");
	if (!f || fputs(text, f) < 0 || fclose(f))
		return 2;
	int a = ini_parse_string(text, on_pair, of_text), b = ini_parse("settings.ini", on_pair, of_file);
	printf("%s(%d, %d)\n", of_text, a, b);
	return a || b || strcmp(of_text, expected) || strcmp(of_file, expected);
}
C
cc -w -o try try.c -Iroot/usr/include "$lib/libinih.so.1"
if LD_LIBRARY_PATH="$lib" ./try; then
	echo "ok: as described"
else
	echo "changed: libinih $version behaves in another way"
	exit 1
fi
