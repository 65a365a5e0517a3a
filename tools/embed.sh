#!/bin/sh
# Prints a C table (struct embedded_file, base/embed.h) of the given text files.
# usage: embed.sh TABLE_NAME FILE...
set -eu
table=$1
shift
echo '#include "base/embed.h"'
i=0
for f in "$@"; do
	echo "static const char text_$i[] = {"
	od -An -v -tx1 "$f" | sed 's/ \([0-9a-f][0-9a-f]\)/0x\1,/g'
	echo '0};'
	i=$((i + 1))
done
echo "const struct embedded_file $table[] = {"
i=0
for f in "$@"; do
	echo "{\"$(basename "$f")\", text_$i, sizeof text_$i - 1},"
	i=$((i + 1))
done
echo '{0, 0, 0}};'
