#!/usr/bin/env python3
"""Seamless pictures: what diffusers (0.42.1) paints in float32 with sd1-tiny where every Conv2d of UNet and autoencoder goes
around (padding_mode="circular"), in both directions or in one: tests/vectors/tiling.safetensors. NAME.latents after the last
step, NAME.image; encode.NAME: the mean of a picture's latents.

    python tools/reference/tiling.py          needs torch, diffusers, transformers, safetensors
"""
import pathlib
import sys
import types

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import common
import torch

common.setup()
VECTORS = pathlib.Path(__file__).resolve().parents[2] / "tests/vectors"

from diffusers import DDIMScheduler, StableDiffusionPipeline

WIDTH, HEIGHT, STEPS, SEED, PROMPT = 72, 64, 3, 11, "moss on a wall"


def one_way(self, x, weight, bias):
    """Around in one direction, zeros in the other."""
    pad = self.padding[0]
    around, zeros = ((pad, pad, 0, 0), (0, 0, pad, pad)) if self.way == "x" else ((0, 0, pad, pad), (pad, pad, 0, 0))
    x = torch.nn.functional.pad(torch.nn.functional.pad(x, around, mode="circular"), zeros) if pad else x
    return torch.nn.functional.conv2d(x, weight, bias, self.stride, 0, self.dilation, self.groups)


def go_around(pipe, way):
    for model in (pipe.unet, pipe.vae):
        for m in model.modules():
            if isinstance(m, torch.nn.Conv2d) and way == "both":
                m.padding_mode = "circular"
                m._reversed_padding_repeated_twice = [p for p in reversed(m.padding) for _ in range(2)]
            elif isinstance(m, torch.nn.Conv2d):
                m.way = way
                m._conv_forward = types.MethodType(one_way, m)


out = {}
g = common.generator("tiling", "picture")
picture = torch.rand((1, 3, HEIGHT, WIDTH), generator=g) * 2 - 1
out["picture"] = picture[0]
for way in ("both", "x", "y"):
    pipe = StableDiffusionPipeline.from_pretrained(VECTORS / "sd1-tiny", torch_dtype=torch.float32, safety_checker=None,
                                                   requires_safety_checker=False)
    pipe.scheduler = DDIMScheduler.from_config(pipe.scheduler.config)
    pipe.set_progress_bar_config(disable=True)
    go_around(pipe, way)
    kept = {}

    def keep(_, step, time, values):
        kept["latents"] = values["latents"].clone()
        return values

    image = pipe(PROMPT, width=WIDTH, height=HEIGHT, num_inference_steps=STEPS, guidance_scale=5.0, output_type="pt",
                 generator=torch.Generator("cpu").manual_seed(SEED), callback_on_step_end=keep).images[0]
    out[f"{way}.latents"] = kept["latents"][0]
    out[f"{way}.image"] = image
    out[f"encode.{way}"] = pipe.vae.encode(picture).latent_dist.mean[0]
common.write_tensors(VECTORS / "tiling.safetensors", out)
