#!/bin/sh
# Does every kernel with a CPU's assembler in it begin with WITH_ASSEMBLER? PoCL 4 to 6 takes a line of
# assembler for a call of its own otherwise, and ends the process or builds something else (tile_cpu.cl).
# Kernels are compiled as the host puts their files together, and looked at when all is inlined. Does each
# that multiplies tiles of AMX configure them before and give them back behind, and is what it says taken by
# an assembler? What tiles compute is not seen here: test_ops emulates that.
set -u
name=assembler
kernels=backends/opencl/kernels
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

if ! command -v clang >/dev/null; then
	echo "skip $name: clang is not installed"
	exit 0
fi
header=$(clang -print-resource-dir)/include/opencl-c.h
if [ ! -f "$header" ] || ! clang --print-targets | grep -q 'x86-64 '; then
	echo "skip $name: this clang has no OpenCL header or no target x86-64"
	exit 0
fi

# For a processor without AMX: that is what PoCL's target may be.
compile() {
	clang -target x86_64-linux-gnu -march=icelake-server -x cl -cl-std=CL1.2 -cl-no-stdinc -include "$header" -O1 \
		-w -D NAMELESS_CALLS -D ACT=f32 "$@" >"$dir/log" 2>&1
}

# look SOURCE OPTIONS…: adds to $dir/seen the kernels with assembler, to $dir/bad those that lack the mark.
look() {
	source=$1
	shift
	# One line for each function: its name, and whether it has either.
	compile -S -emit-llvm "$@" "$source" -o "$dir/k.ll" && case $* in
	*DOT_AMX*) compile -c "$@" "$source" -o "$dir/k.o" ;;
	esac || {
		echo "not ok $name: $source $* does not compile"
		head -5 "$dir/log"
		exit 1
	}
	awk '
		/^define / {
			name = $0; sub(/\(.*/, "", name); sub(/.*@/, "", name)
			kernel = / spir_kernel /; has = 0; marked = 0; also = 0; tiles = 0; opens = 0; closes = 0
		}
		/ call .* asm / { has = 1 }
		/ asm .*"ldtilecfg / { opens = 1 }
		/ asm .*"tdp/ { tiles = 1 }
		/ asm .*"tilerelease/ { closes = 1 }
		/ call .*@__pocl_local_mem_alloca\(/ { marked = 1 }
		/ call .*@__pocl_work_group_alloca\(/ { also = 1 }
		/^}/ && has {
			what = "ok"
			if (tiles && !(opens && closes)) what = "lacks TILES_OPEN or TILES_CLOSE"
			if (!marked || !also) what = "lacks WITH_ASSEMBLER"
			if (!kernel) what = "is not inlined"
			print name, what
		}' "$dir/k.ll" >"$dir/functions"
	grep -v ' ok$' "$dir/functions" >>"$dir/bad"
	cat "$dir/functions" >>"$dir/seen"
}

# all FOLDER WORD: programs with that word in their name, as the C sources name them, of those that hold assembler; GPUs' (PTX) are not PoCL's.
all() {
	: >"$dir/bad"
	: >"$dir/seen"
	grep -rhoE '"[a-z0-9_]+\.cl(\+[a-z0-9_]+\.cl)*"' backends/opencl bench --include='*.c' | tr -d '"' |
		grep "$2" | sort -u >"$dir/programs"
	while read -r program; do
		files=$(echo "$program" | tr + ' ')
		# A name alone is mostly a part of others, of which the host reads a constant.
		grep -q "+$program\$\|^$program+\|+$program+" "$dir/programs" && continue
		case $files in *mma*) continue ;; esac
		(cd "$1" && cat $files | sed '/BODIES_APART/,/#else/d' | grep -q '__asm__') || continue
		weight='-D WEIGHT=f16 -D UP=f16 -D DOWN=f16'
		case $files in *gemm_dot4*)
			weight='-D WEIGHT=q8_0 -D WEIGHT_BLOCK=32 -D WEIGHT_BYTES=34 -D WIDE=LANES -D COLUMNS=(2*LANES)'
			files="formats.cl $files"
			;;
		esac
		case $files in *fold*) weight="$weight -D DOT" ;; esac
		(cd "$1" && cat common.cl $files) >"$dir/program.cl"
		for way in '-D LANES=16' '-D LANES=8 -D DOT_VEX' '-D LANES=16 -D DOT_AMX' '-D LANES=16 -D DOT_AMX -D DOT_SPLIT'; do
			case $files$way in
			*peak*AMX* | *fold*AMX*) continue ;; # of vectors
			*gemm_dot_*SPLIT*) ;;
			*SPLIT*) continue ;;
			esac
			# shellcheck disable=SC2086 # several options
			look "$dir/program.cl" $way $weight -D CHAINS=4
		done
	done <"$dir/programs"
}

all $kernels ""
if [ -s "$dir/bad" ] || ! [ -s "$dir/seen" ]; then
	echo "not ok $name: $(sort -u "$dir/bad" | paste -sd ';')"
else
	echo "ok $name: $(sort -u "$dir/seen" | wc -l) kernels have it and say so"
fi

# Were one without the mark not seen, silence about ours would mean nothing.
cp $kernels/*.cl "$dir"
sed -i 's/WITH_ASSEMBLER;//' "$dir/peak_dot.cl"
sed -i 's/TILES_OPEN(PROBE_DEPTH);//' "$dir/dot4_probe.cl"
all "$dir" '+peak_dot.cl\|+dot4_probe.cl'
case $(sort -u "$dir/bad" | paste -sd ';') in
'peak_dot lacks WITH_ASSEMBLER;probe_dot4 lacks TILES_OPEN or TILES_CLOSE') echo "ok $name sees kernels that lack it" ;;
*) echo "not ok $name sees kernels that lack it: $(sort -u "$dir/bad" | paste -sd ';')" ;;
esac
