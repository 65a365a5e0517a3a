#!/bin/sh
# lycoris-lora 4.1.3 with torch 2.13.0: a LoHa or LoKr that is merged into its layer is not what it was while it
# was trained. merge_to() multiplies the difference by alpha/rank twice, forward() once; of a plain LoRA (LoCon)
# both agree.
#
# For these two kinds get_weight() has the factor already, and what merges asks for it and multiplies once more.
# So with alpha below rank a merged checkpoint holds an adapter that is too weak by alpha/rank: alpha 1 of rank
# 16, a usual setting, leaves a sixteenth of it. With alpha equal to rank nothing is seen. Who follows one of the
# two paths to check a reader of such files agrees with the other only by chance.
#
# Seen: merged / trained = 1 (LoCon), 0.5 (LoHa), 0.5 (LoKr) where alpha/rank is 0.5.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv" 2>/dev/null || {
	echo "skip: python3 makes no virtual environment here"
	exit 0
}
"$dir/venv/bin/pip" install -q torch==2.13.0 lycoris-lora==4.1.3 >"$dir/log" 2>&1 || {
	echo "skip: pip does not install torch 2.13.0 and lycoris-lora 4.1.3 here"
	exit 0
}
cat >"$dir/try.py" <<'P'
import sys
import torch
from lycoris.modules import LoConModule, LohaModule, LokrModule

torch.manual_seed(1)
x = torch.randn(5, 256)
ratios = {}
for kind, more in ((LoConModule, {}), (LohaModule, {}), (LokrModule, {"factor": 8, "decompose_both": True})):
    layer = torch.nn.Linear(256, 256, bias=False)
    before = layer.weight.detach().clone()
    adapter = kind("x", layer, multiplier=1.0, lora_dim=2, alpha=1, **more)
    for p in adapter.parameters():
        torch.nn.init.normal_(p, std=0.3)
    adapter.apply_to()
    with torch.no_grad():
        trained = adapter(x) - x @ before.T
        adapter.restore()
        adapter.merge_to(1.0)
        merged = x @ (layer.weight - before).T
    ratios[kind.__name__] = float((merged * trained).sum() / (trained * trained).sum())
for name, ratio in ratios.items():
    print(f"{name}: merged / trained = {ratio:.4f}")
near = lambda a, b: abs(a - b) < 1e-3
sys.exit(0 if near(ratios["LoConModule"], 1) and near(ratios["LohaModule"], 0.5) and near(ratios["LokrModule"], 0.5) else 1)
P
"$dir/venv/bin/python" "$dir/try.py" 2>/dev/null
