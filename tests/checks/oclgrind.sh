#!/bin/sh
# Runs the operations' harness on oclgrind's simulated device, smallest cases, with its
# checks for races between work-items, accesses outside of buffers and wrong API calls.
# Anything that it reports is a failure.
set -u
BUILD=${BUILD:-build}
name=oclgrind
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

if ! command -v oclgrind >/dev/null; then
	echo "skip $name: oclgrind is not installed"
	exit 0
fi

# A kernel that races and one that leaves its buffer: were they not reported, silence
# about ours would mean nothing.
cat >"$dir/bad.cl" <<'KERNEL'
kernel void race(global int *x) { x[0] = get_global_id(0); }
kernel void outside(global int *x) { x[get_global_id(0) + 1] = 0; }
KERNEL
for kernel in race outside; do
	printf 'bad.cl %s\n4 1 1\n1 1 1\n<size=16 fill=0 int>\n' $kernel >"$dir/$kernel.sim"
done
race=$(cd "$dir" && oclgrind-kernel --data-races race.sim 2>&1)
outside=$(cd "$dir" && oclgrind-kernel outside.sim 2>&1)
case $race in
*"data race"*) echo "ok $name sees a race" ;;
*) echo "not ok $name sees a race: $race" ;;
esac
case $outside in
*"Invalid write"*) echo "ok $name sees a write outside of a buffer" ;;
*) echo "not ok $name sees a write outside of a buffer: $outside" ;;
esac

export SUMI_CACHE_DIR="$BUILD/test-cache/oclgrind" SUMI_TEST_SMALL=1 SUMI_TEST_DEVICE=oclgrind
unset SUMI_TEST_OPS
shapes="cpu8 cpu16 cpu16-emulated cpu16-amx-emulated cpu8-arm-matrix-emulated gpu gpu-winograd mma-emulated xmx-emulated xmx16-emulated"
cat >"$dir/run" <<'RUN'
SUMI_KERNELS=$2 oclgrind --data-races --check-api --log "$1/log.$2" \
	"$BUILD/tests/test_ops" >"$1/out.$2" 2>&1
echo $? >"$1/status.$2"
RUN
export BUILD
printf '%s\n' $shapes | xargs -P "$(nproc)" -I{} sh "$dir/run" "$dir" {}
for kernels in $shapes; do
	log="$dir/log.$kernels" out="$dir/out.$kernels" status=$(cat "$dir/status.$kernels")
	if [ -s "$log" ]; then
		echo "not ok $name $kernels: $(grep -c . "$log") lines of reports"
		head -40 "$log"
	elif [ "$status" -ne 0 ] || ! grep -q 'PASSED' "$out"; then
		echo "not ok $name $kernels: exit $status"
		tail -40 "$out"
	else
		sed -n "s/^\[       OK \]/ok $name/p" "$out"
	fi
done
