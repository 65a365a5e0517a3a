#!/bin/sh
# PoCL 3.1 (Debian's 3.1-3+deb12u1), asked by pyopencl 2026.1.4: a program that is loaded from its own binary is
# compiled again when its kernel is launched, even where the kernel names its work-group size.
#
# The binary that clGetProgramInfo() gives holds each kernel compiled for work-groups of any size. A launch looks for
# one that is compiled for just its size, does not find it, and makes it from the intermediate code in the same
# binary: with an empty cache of PoCL's a program that keeps binaries waits for the compiler as long as one that does
# not, and while it makes them it waits twice. reqd_work_group_size(1, 1, 1) says all that a launch can say, and changes
# nothing. POCL_WORK_GROUP_SPECIALIZATION=0 makes a launch take what is there; the results are the same, and kernels
# whose work-groups have one item may be a few per cent slower.
#
# Seen (objects in the cache after loading the binary, after the launch): 0-0-0, then 0-0-0 and 1-1-1; with the
# variable 0-0-0, and 0-0-0.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
mkdir "$dir/debs" "$dir/vendors"
cd "$dir/debs"
v=3.1-3+deb12u1
apt-get download -qq "pocl-opencl-icd=$v" "libpocl2=$v" "libpocl2-common=$v" libllvm15 libclang-cpp15 libhwloc15 2>/dev/null || {
	echo "skip: apt offers no pocl-opencl-icd $v here"
	exit 0
}
for deb in *.deb; do dpkg -x "$deb" "$dir/root"; done
lib=$(dirname "$(find "$dir/root" -name libpocl.so.2)")
export LD_LIBRARY_PATH="$lib"
if ldd "$lib/libpocl.so.2" | grep 'not found'; then
	echo "skip: the system lacks libraries that this PoCL needs"
	exit 0
fi
python3 -m venv "$dir/venv" 2>/dev/null && "$dir/venv/bin/pip" install -q pyopencl==2026.1.4 >"$dir/log" 2>&1 || {
	echo "skip: pip does not install pyopencl 2026.1.4 here"
	exit 0
}
echo "$lib/libpocl.so.2" >"$dir/vendors/pocl.icd"
cat >"$dir/try.py" <<'P'
import glob, os
import pyopencl as cl

cache = os.environ["POCL_CACHE_DIR"]
source = """__kernel __attribute__((reqd_work_group_size(1, 1, 1)))
void add(__global float *x) { x[get_global_id(0)] += 1.0f; }"""


def objects():
    """Work-group sizes that the kernel lies compiled for, as PoCL's folders name them."""
    sizes = {f.split("/")[-2].split("-g")[0] for f in glob.glob(cache + "/**/*.so", recursive=True)}
    return sorted(sizes)


device = cl.get_platforms()[0].get_devices()[0]
assert "PoCL 3.1" in device.platform.version, device.platform.version
context = cl.Context([device])
queue = cl.CommandQueue(context)
if os.path.exists("binary"):
    program = cl.Program(context, [device], [open("binary", "rb").read()]).build()
    loaded = objects()
    kernel = cl.Kernel(program, "add")
    numbers = cl.Buffer(context, cl.mem_flags.READ_WRITE, 64)
    kernel.set_args(numbers)
    cl.enqueue_nd_range_kernel(queue, kernel, (16,), (1,))
    queue.finish()
    print(" ".join(loaded), "then", " ".join(objects()))
else:
    open("binary", "wb").write(cl.Program(context, source).build().get_info(cl.program_info.BINARIES)[0])
P
cd "$dir"
export OCL_ICD_VENDORS="$dir/vendors" PYOPENCL_NO_CACHE=1
run() {
	mkdir -p "$dir/$1"
	POCL_CACHE_DIR="$dir/$1" "$dir/venv/bin/python" try.py
}
run making
usual=$(run usual)
told=$(POCL_WORK_GROUP_SPECIALIZATION=0 run told)
echo "usual: $usual"
echo "POCL_WORK_GROUP_SPECIALIZATION=0: $told"
[ "$usual" = "0-0-0 then 0-0-0 1-1-1" ] && [ "$told" = "0-0-0 then 0-0-0" ]
