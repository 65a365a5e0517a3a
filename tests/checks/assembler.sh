#!/bin/sh
# Does every kernel with a CPU's assembler in it begin with WITH_ASSEMBLER? PoCL 4 to 6 takes a line of
# assembler for a call of its own otherwise, and ends the process or builds something else (tile_cpu.cl).
# Kernels are compiled as the host puts their files together, and looked at when all is inlined.
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

# look FILES OPTIONS…: adds to $dir/seen the kernels with assembler, to $dir/bad those that lack the mark.
look() {
	files=$1
	shift
	# One line for each function: its name, and whether it has either.
	clang -target x86_64-linux-gnu -march=icelake-server -x cl -cl-std=CL1.2 -cl-no-stdinc -include "$header" -O1 \
		-w -S -emit-llvm -D NAMELESS_CALLS -D ACT=f32 "$@" "$files" -o "$dir/k.ll" >"$dir/log" 2>&1 || {
		echo "not ok $name: $files $* does not compile"
		head -5 "$dir/log"
		exit 1
	}
	awk '
		/^define / {
			name = $0; sub(/\(.*/, "", name); sub(/.*@/, "", name)
			kernel = / spir_kernel /; has = 0; marked = 0; also = 0
		}
		/ call .* asm / { has = 1 }
		/ call .*@__pocl_local_mem_alloca\(/ { marked = 1 }
		/ call .*@__pocl_work_group_alloca\(/ { also = 1 }
		/^}/ && has {
			print name, (!kernel ? "is not inlined" : marked && also ? "ok" : "lacks WITH_ASSEMBLER")
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
		(cd "$1" && grep -q '__asm__' $files) || continue
		weight='-D WEIGHT=f16'
		case $files in *gemm_dot4*)
			weight='-D WEIGHT=q8_0 -D WEIGHT_BLOCK=32 -D WEIGHT_BYTES=34 -D WIDE=LANES -D COLUMNS=(2*LANES)'
			files="formats.cl $files"
			;;
		esac
		(cd "$1" && cat common.cl $files) >"$dir/program.cl"
		for way in '-D LANES=16' '-D LANES=8 -D DOT_VEX'; do
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
sed -i '/^kernel.* peak_dot(/,/^}/s/WITH_ASSEMBLER;//' "$dir/peak_dot.cl"
all "$dir" +peak_dot.cl
case $(sort -u "$dir/bad") in
'peak_dot lacks WITH_ASSEMBLER') echo "ok $name sees a kernel that lacks it" ;;
*) echo "not ok $name sees a kernel that lacks it: $(sort -u "$dir/bad" | paste -sd ';')" ;;
esac
