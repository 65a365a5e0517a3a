#!/bin/bash
# Does sumi work with every OpenCL driver that is here? For each: the operation harness, whether a picture has the pixels
# that the first driver's has, how fast a few operations are in each precision beside the first driver's exact ones, and how
# long a picture of one step takes from empty caches and from full ones. Prints a table. Not part of `make check`: it takes
# minutes a driver.
#
# usage: tests/drivers.sh [--small] [--no-harness] [--no-intel] [--first PIXELS,RATE] [DRIVER…]      after make all unit build/bench/ops
#   --small     the harness's small cases only
#   --no-harness  without it
#   --no-intel  do not fetch Intel's runtime for CPUs from PyPI (into BUILD/drivers)
#   --first     what another run, of another system on this machine, said of its first driver: to be held against that
#   DRIVER      only those whose name holds one of these
# HARNESS_SECONDS=3000: after which the harness is stopped; what it had not reached is counted
set -u
cd "$(dirname "$0")/.." || exit 1
build=$(realpath "${BUILD:-build}")
small='' without_harness='' intel=yes failed=0 first_pixels='' first_rate=''
while [ $# -gt 0 ]; do
	case $1 in
	--small) small=1 ;;
	--no-harness) without_harness=1 ;;
	--no-intel) intel='' ;;
	--first) first_pixels=${2%,*} first_rate=${2#*,} && shift ;;
	-*) sed -n '2,/^set/s/^# \{0,1\}//p' "$0" && exit 2 ;;
	*) break ;;
	esac
	shift
done
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT

# The runtime is made for Python's environments: its own loader must not be found before the system's.
fetch_intel() {
	place=$build/drivers/intel
	if [ ! -e "$place/intel.icd" ]; then
		command -v python3 >/dev/null && python3 -m pip --version >/dev/null 2>&1 || return 1
		mkdir -p "$place"
		python3 -m pip download -q --no-deps -d "$place" intel-opencl-rt intel-cmplr-lib-rt tbb >"$place/log" 2>&1 || return 1
		for wheel in "$place"/*.whl; do
			python3 -m zipfile -e "$wheel" "$place" && rm "$wheel"
		done
		find "$place" -name 'libOpenCL.so*' -delete
		library=$(find "$place" -name libintelocl.so | head -1)
		[ -n "$library" ] && echo "$library" >"$place/intel.icd"
	fi
	[ -e "$place/intel.icd" ]
}

# name|loader's file|settings
drivers() {
	for icd in /etc/OpenCL/vendors/*.icd; do
		[ -e "$icd" ] || continue
		name=$(basename "$icd" .icd)
		case $name in
		rusticl)
			echo "rusticl|$icd|RUSTICL_ENABLE=llvmpipe"
			echo "rusticl, kernels of GPUs|$icd|RUSTICL_ENABLE=llvmpipe SUMI_KERNELS=gpu"
			;;
		mesa) ;; # Clover: for old Radeons alone
		*) echo "$name|$icd|" ;;
		esac
	done
	if [ -n "$intel" ] && fetch_intel; then
		libraries=$(find "$build/drivers/intel" -name '*.so*' -printf '%h\n' | sort -u | paste -sd:)
		echo "intel|$build/drivers/intel/intel.icd|LD_LIBRARY_PATH=$libraries"
	fi
}

seconds() { # COMMAND… : wall clock, and the processor's time of all processes
	TIMEFORMAT='%R s (%U + %S)'
	{ time "$@" >"$work/log" 2>&1; } 2>"$work/time" || return 1
	awk '{gsub(/[()]/, ""); printf "%.1f s (%.1f)", $1, $3 + $5}' "$work/time"
}

# GFLOP/s of a product, a convolution and attention in a precision: their geometric mean. In int8 the product's weights are
# q8_0. "-": the device does not have it.
speed() {
	options="--seconds 0.2 --precision $1"
	for part in "linear 64x64 320->1280" "conv 64x64 320->320 k3 " "attention 64x64 320 heads 8 keys 4096"; do
		weight=f16
		[ "$1 ${part%% *}" = "int8 linear" ] && weight=q8_0
		# shellcheck disable=SC2086 # several options
		"${run[@]}" "$build/bench/ops" $options --weight $weight --only "${part% }" 2>/dev/null | grep -F "$part" | head -1
	done | awk '{for (i = 2; i <= NF; i++) if ($i ~ /^GFLOP/) {s += log($(i - 1)); n++}} END {if (n) printf "%.1f", exp(s / n); else printf "-"}'
}

# What became of the harness's tests, by what it printed: how many passed, which failed, how many want an instruction that
# is not here, and where it ended if it did not reach all of them.
outcome() {
	awk 'match($0, /Running [0-9]+ test/) && !all {all = substr($0, RSTART + 8) + 0}
	$1 == "[" && $3 == "]" && NF == 4 {
		if ($2 == "RUN") {last = $4; reached++}
		else if ($4 in got) next
		else {got[$4] = $2; count[$2]++; if ($2 == "FAILED") failed = failed " " $4}
	}
	END {
		printf "%d of %d pass", count["OK"], all
		if (count["SKIPPED"]) printf ", %d want what is not here", count["SKIPPED"]
		if (failed != "") printf ", failed:%s", failed
		if (last != "" && !(last in got)) printf ", ended in %s", last
		if (reached < all) printf ", %d not reached", all - reached
	}' "$work/ops"
}

try() { # NAME ICD SETTINGS
	name=$1
	# shellcheck disable=SC2086 # several settings
	run=(env OCL_ICD_VENDORS="$2" OCL_ICD_FILENAMES= SUMI_CACHE_DIR="$work/cache" $3)
	rm -rf "$work/cache"
	device=$("${run[@]}" "$build/bin/sumi" devices --json 2>/dev/null |
		python3 -c 'import json, sys
d = [d for d in json.load(sys.stdin) if d["selector"] != "reference"]
print(d[0]["platform"], d[0]["driver"]) if d else None' 2>/dev/null)
	if [ -z "$device" ]; then
		echo "skip $name: it finds no device here" >&2
		return
	fi
	picture=(render "a lighthouse at dusk" -p models/ink -d opencl:0 --precision exact --seed 7 -q)
	cold=$(seconds "${run[@]}" "$build/bin/sumi" "${picture[@]}" --steps 1 -o "$work/one.webp") || cold=fails
	warm=$(seconds "${run[@]}" "$build/bin/sumi" "${picture[@]}" --steps 1 -o "$work/one.webp") || warm=fails
	same=-
	if command -v dwebp >/dev/null && "${run[@]}" "$build/bin/sumi" "${picture[@]}" --steps 4 -o "$work/four.webp" >/dev/null 2>&1; then
		pixels=$(dwebp -quiet "$work/four.webp" -pam -o - | sha256sum | cut -c1-16)
		first_pixels=${first_pixels:-$pixels}
		same=$([ "$pixels" = "$first_pixels" ] && echo yes || echo no)
	fi
	ratios=
	for precision in exact half int8; do
		rate=$([ -x "$build/bench/ops" ] && speed $precision)
		first_rate=${first_rate:-$rate}
		ratios="$ratios$(echo "${rate:--} ${first_rate:--}" |
			awk '{if ($1 != "-" && $2 > 0) printf " %.2f |", $1 / $2; else printf " - |"}')"
	done
	# Where SUMI_KERNELS is not set the harness takes all that the device can have.
	if [ -n "$without_harness" ]; then
		harness=-
	else
		"${run[@]}" SUMI_TEST_DEVICE=opencl:0 ${small:+SUMI_TEST_SMALL=1} timeout "${HARNESS_SECONDS:-3000}" \
			"$build/tests/test_ops" >"$work/ops" 2>&1 || failed=1
		harness=$(outcome)
	fi
	echo "| $name | $device | $harness | $same |$ratios $cold, $warm |"
}

echo "| driver | platform, version | harness | the first one's pixels | speed: exact | half | int8 | one step (processor's time): empty caches, full ones |"
echo "|---|---|---|---|---|---|---|---|"
drivers >"$work/drivers" # all of it first: nothing else shall run beside what is timed
while IFS='|' read -r name icd settings; do
	wanted=$([ $# = 0 ] && echo yes)
	for word; do
		case $name in *"$word"*) wanted=yes ;; esac
	done
	[ -n "$wanted" ] && try "$name" "$icd" "$settings" </dev/null
done <"$work/drivers"
echo "the first driver: --first ${first_pixels:--},${first_rate:--}" >&2
exit $failed
