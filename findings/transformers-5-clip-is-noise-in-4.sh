#!/bin/sh
# transformers 5.24.0, 4.57.6, torch 2.13.0: a CLIPTextModel that version 5 saves is opened by version 4 with random
# weights, and not refused.
#
# Version 5 took the level `text_model` out of CLIPTextModel, and its file has the names without it. Version 4 finds none
# of the names it looks for, warns that weights "were not used" and others are "newly initialized", and goes on: the
# model answers, differently with each process. The config says the same in both, but for the version. What takes a
# pipeline's folder from a machine with version 5 to one with version 4 paints something else than the prompt says. The
# way back works: version 5 reads both spellings. CLIPTextModelWithProjection (the second encoder of SDXL) kept the level,
# so one folder may hold both spellings.
#
# Seen: names without `text_model.` for the one class and with it for the other; version 4 opens the file of the first,
# has none of its matrices, and one of the second, has all.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv" 2>/dev/null || {
	echo "skip: python3 makes no virtual environment here"
	exit 0
}
"$dir/venv/bin/pip" install -q torch==2.13.0 transformers==5.24.0 >"$dir/log" 2>&1 &&
	"$dir/venv/bin/pip" install -q --target "$dir/old" transformers==4.57.6 >>"$dir/log" 2>&1 || {
	echo "skip: pip does not install torch 2.13.0 and transformers 5.24.0 and 4.57.6 here"
	exit 0
}
cat >"$dir/save.py" <<'P'
import sys
import torch
import transformers
from safetensors import safe_open

torch.manual_seed(0)
print("transformers", transformers.__version__)
config = dict(vocab_size=128, hidden_size=32, intermediate_size=64, num_hidden_layers=1, num_attention_heads=2,
              projection_dim=32, bos_token_id=126, eos_token_id=127, pad_token_id=127)
spelt = []
for name in ("CLIPTextModel", "CLIPTextModelWithProjection"):
    getattr(transformers, name)(transformers.CLIPTextConfig(**config)).eval().save_pretrained(f"{sys.argv[1]}/{name}")
    with safe_open(f"{sys.argv[1]}/{name}/model.safetensors", "pt") as f:
        first = sorted(f.keys())[0]
    print(f"  {name}: {first}")
    spelt.append(first.startswith("text_model."))
sys.exit(0 if spelt == [False, True] else 1)
P
cat >"$dir/open.py" <<'P'
import sys
import torch
import transformers
from safetensors.torch import load_file

print("transformers", transformers.__version__)
right = []
for name in ("CLIPTextModel", "CLIPTextModelWithProjection"):
    saved = {k.removeprefix("text_model."): v for k, v in load_file(f"{sys.argv[1]}/{name}/model.safetensors").items() if v.ndim > 1}
    model = getattr(transformers, name).from_pretrained(f"{sys.argv[1]}/{name}")
    opened = {k.removeprefix("text_model."): v for k, v in model.state_dict().items()}
    same = sum(torch.equal(opened[k], v) for k, v in saved.items())
    print(f"  {name}: {same} of {len(saved)} matrices are the saved ones")
    right.append(same == len(saved) if same else None)
sys.exit(0 if right == [None, True] else 1)
P
"$dir/venv/bin/python" "$dir/save.py" "$dir" 2>"$dir/log" || exit 1
PYTHONPATH="$dir/old" "$dir/venv/bin/python" "$dir/open.py" "$dir" 2>"$dir/log"
