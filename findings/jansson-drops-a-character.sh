#!/bin/sh
# jansson 2.14 (Debian's 2.14-2) reads a document while one allocation fails, and says that all is
# well: json_loads() returns the object, its text lacks one character.
#
# The lexer collects a text byte by byte in a buffer that doubles; what the buffer's append returns
# is not looked at, so the byte that did not fit is left out and reading goes on. Which allocation
# fails decides what is seen: no object and an empty message, "invalid token", or success with other
# bytes. A program under a memory limit (RLIMIT_AS, a failing allocator of its own) cannot trust a
# document that was read successfully; it has to watch its allocator.
#
# Seen: of nine allocations for the document below two give success with a wrong text.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
version=2.14-2
apt-get download -qq "libjansson4=$version" "libjansson-dev=$version" 2>/dev/null || {
	echo "skip: apt offers no libjansson $version here"
	exit 0
}
for deb in *.deb; do dpkg -x "$deb" root; done
lib=$(dirname "$(find root -name 'libjansson.so.4' | head -1)")

cat >try.c <<'C'
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static long made, failing; /* allocations so far; the one that gets nothing */

static void *allocate(size_t size)
{
	return ++made == failing ? NULL : malloc(size);
}

int main(void)
{
	static const char text[] = "a watercolour of mountains in fog, soft light";
	char document[128];
	int wrong = 0;
	snprintf(document, sizeof document, "{\"prompt\": \"%s\"}", text);
	json_set_alloc_funcs(allocate, free);
	for (failing = 1;; failing++) {
		json_error_t error;
		made = 0;
		json_t *root = json_loads(document, 0, &error);
		const char *got = json_string_value(json_object_get(root, "prompt"));
		if (made < failing)
			break;
		if (root && got && strcmp(got, text) != 0) {
			printf("allocation %ld fails, json_loads() succeeds: \"%s\"\n", failing, got);
			wrong++;
		}
		json_decref(root);
	}
	printf("jansson %s: %d of %ld\n", JANSSON_VERSION, wrong, failing - 1);
	return wrong == 2 && failing - 1 == 9 ? 0 : 1;
}
C
cc -o try try.c -Iroot/usr/include "-Iroot/usr/include/$(cc -print-multiarch)" "$lib/libjansson.so.4"
if LD_LIBRARY_PATH="$lib" ./try; then
	echo "ok: as described"
else
	echo "changed: jansson $version behaves in another way"
	exit 1
fi
