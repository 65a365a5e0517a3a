#!/bin/sh
# Figures of this machine, one bench after the other; everything is also kept in
# build/bench/*.txt and ops.json. Compare shares and ratios: absolute times are a machine's
# mood of the hour.
#
#   SUMI_BENCH_PACKS="DIR…"  packs whose models are timed (default: those in models/)
#   SUMI_BENCH_SIZE=512x512  at this size (default: the pack's own)
set -eu
out=${BUILD:-build}/bench
mkdir -p "$out"

run() { # NAME COMMAND…
	name=$1
	shift
	echo "== $name"
	"$@" 2>&1 | tee "$out/$name.txt"
}

run operations "$out/ops" --json "$out/ops.json"
for pack in ${SUMI_BENCH_PACKS:-models/*}; do
	[ -f "$pack/model_index.json" ] || continue
	# shellcheck disable=SC2086
	run "models-$(basename "$pack")" "$out/models" "$pack" ${SUMI_BENCH_SIZE:+--size $SUMI_BENCH_SIZE}
done
run queue "$out/queue"
run storage "$out/storage"
