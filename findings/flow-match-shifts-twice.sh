#!/bin/sh
# diffusers 0.42.1 with torch 2.13.0: FlowMatchEulerDiscreteScheduler shifts the low end of its schedule twice
# when it is asked for a number of steps, and once when it is given sigmas.
#
# Its constructor shifts the training sigmas, 1 … 1/1000, and keeps the ends of the result as sigma_max and
# sigma_min. set_timesteps(n) spaces n points between these shifted ends and shifts all of them again. So with
# shift 3 the last step stands at 0.00893, where set_timesteps(sigmas=…) over the same 1 … 1/1000 puts it at
# 0.00299; the first step stands at 1 either way, which hides it. A pipeline that passes sigmas (FLUX, Z-Image,
# Qwen-Image) and a trainer or a sampler that passes a number walk different schedules from one config, and the
# difference grows with the shift: it is a third step's worth at the end for shift 6.
#
# Seen: last sigmas 0.008929 against 0.002994 (shift 3), 0.034783 against 0.005970 (shift 6).
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv" 2>/dev/null || {
	echo "skip: python3 makes no virtual environment here"
	exit 0
}
"$dir/venv/bin/pip" install -q torch==2.13.0 diffusers==0.42.1 numpy >"$dir/log" 2>&1 || {
	echo "skip: pip does not install torch 2.13.0 and diffusers 0.42.1 here"
	exit 0
}
"$dir/venv/bin/python" - <<'P' 2>/dev/null
import sys
import numpy
from diffusers import FlowMatchEulerDiscreteScheduler

def last(shift, **how):
    s = FlowMatchEulerDiscreteScheduler(shift=shift)
    s.set_timesteps(**how)
    return float(s.sigmas[-2])

given = numpy.linspace(1, 1 / 1000, 4)
seen = [(shift, last(shift, num_inference_steps=4), last(shift, sigmas=given)) for shift in (1.0, 3.0, 6.0)]
for row in seen:
    print("shift %g: a number of steps ends at %.6f, the same sigmas given at %.6f" % row)
once = lambda s, x: s * x / (1 + (s - 1) * x)
expected = [(s, once(s, once(s, 1 / 1000)), once(s, 1 / 1000)) for s in (1.0, 3.0, 6.0)]
sys.exit(0 if numpy.allclose(seen, expected, rtol=1e-4) else 1)
P
