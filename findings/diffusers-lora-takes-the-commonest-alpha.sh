#!/bin/sh
# diffusers 0.42.1 with peft 0.21.2 and torch 2.13.0: a LoRA file of kohya's names in which the modules have
# different alphas is loaded with the commonest alpha for many of them. No error; the picture is another one.
#
# Each module of such a file has an alpha of its own, and its difference is up·down·alpha/rank. diffusers makes one
# lora_alpha (the commonest) and a table alpha_pattern for the others out of them, but the keys of that table are of
# an older way to name modules ("….processor.to_k_lora.down.weight"), which no module has. peft passes over keys that
# fit nothing with no more than a RuntimeWarning. Trainers that
# merge or resize LoRAs write such files: a resize by spectrum gives each module another rank and alpha.
#
# Seen: of 32 modules with alphas 4, 4, 4, 1, 2, 8 by turns (rank 4) 15 are multiplied by 4, 2 or 0.5.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv" 2>/dev/null || {
	echo "skip: python3 makes no virtual environment here"
	exit 0
}
"$dir/venv/bin/pip" install -q torch==2.13.0 diffusers==0.42.1 peft==0.21.2 transformers==5.23.0 >"$dir/log" 2>&1 || {
	echo "skip: pip does not install torch 2.13.0, diffusers 0.42.1 and peft 0.21.2 here"
	exit 0
}
"$dir/venv/bin/python" -W ignore - <<'P'
import collections
import sys
import torch
from diffusers import UNet2DConditionModel
from diffusers.loaders import StableDiffusionLoraLoaderMixin as Loader

torch.manual_seed(0)
torch.set_grad_enabled(False)
unet = UNet2DConditionModel(
    sample_size=8, layers_per_block=1, block_out_channels=(32, 64), norm_num_groups=8, cross_attention_dim=32,
    down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"), up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"))
layers = {n: m for n, m in unet.named_modules() if isinstance(m, torch.nn.Linear) and ".attn" in n}
before = {n: m.weight.clone() for n, m in layers.items()}
file, expected, rank = {}, {}, 4
for i, (name, layer) in enumerate(layers.items()):
    down, up = torch.randn(rank, layer.in_features), torch.randn(layer.out_features, rank)
    alpha = (4.0, 4.0, 4.0, 1.0, 2.0, 8.0)[i % 6]
    key = "lora_unet_" + name.replace(".", "_")
    file.update({key + ".lora_down.weight": down, key + ".lora_up.weight": up, key + ".alpha": torch.tensor(alpha)})
    expected[name] = up @ down * alpha / rank

state, alphas = Loader.lora_state_dict(file, unet_config=unet.config)
Loader.load_lora_into_unet(state, network_alphas=alphas, unet=unet)
unet.fuse_lora()
factors = collections.Counter()
for name, want in expected.items():
    got = unet.get_submodule(name).base_layer.weight - before[name]
    factors[round(float((got * want).sum() / (want * want).sum()), 3)] += 1
print("loaded difference / the file's:", dict(sorted(factors.items())))
sys.exit(0 if factors == {0.5: 5, 1.0: 17, 2.0: 5, 4.0: 5} else 1)
P
