#!/usr/bin/env python3
"""T2I-Adapters made at random for the small packs, and what diffusers (0.42.1) paints with them in float32:
tests/vectors/t2i/. Each run has NAME.run.safetensors, latents after the last step and the picture; they see the
pictures of tests/vectors/steering.

    python tools/reference/t2i_adapters.py          needs torch, diffusers, transformers, safetensors, pillow
"""
import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import common
import torch
from safetensors.torch import save_file

common.setup()
VECTORS = pathlib.Path(__file__).resolve().parents[2] / "tests/vectors"
OUT, SEEN = VECTORS / "t2i", VECTORS / "steering"
OUT.mkdir(parents=True, exist_ok=True)

from diffusers import MultiAdapter, StableDiffusionAdapterPipeline, StableDiffusionXLAdapterPipeline, T2IAdapter
from PIL import Image

SIDE, STEPS = 64, 4


def adapter(name, kind, channels, blocks, factor=8, colours=3):
    config = {"_class_name": "T2IAdapter", "adapter_type": kind, "channels": channels, "in_channels": colours,
              "num_res_blocks": blocks, "downscale_factor": factor}
    net = common.healthy(T2IAdapter.from_config(config), "t2i " + name)
    folder = OUT / name
    folder.mkdir(exist_ok=True)
    common.write_json(folder / "config.json", config)
    common.write_tensors(folder / "diffusion_pytorch_model.safetensors", common.state(net, "f16"))
    return T2IAdapter.from_pretrained(folder, torch_dtype=torch.float32)


def original_name(name, blocks):
    """As TencentARC's files call it: a full adapter's blocks are numbered through, a light one's stand in a body."""
    piece = name.removeprefix("adapter.").split(".")
    if piece[0] != "body":
        return ".".join(piece)
    if piece[2] == "resnets":
        if blocks is None:
            return ".".join(["body", piece[1], "body"] + piece[3:])
        return ".".join(["body", str(int(piece[1]) * blocks + int(piece[3]))] + piece[4:])
    return ".".join(["body", piece[1] if blocks is None else str(int(piece[1]) * blocks)] + piece[2:])


def write_original(name, net, blocks):
    common.write_tensors(OUT / f"{name}-original.safetensors",
                         {original_name(k, blocks): v for k, v in common.state(net, "f16").items()})


def write_run(name, pipe, seed=7, **how):
    how = dict(num_inference_steps=STEPS, guidance_scale=7.5, height=SIDE, width=SIDE, **how)
    latents = pipe("a boat", generator=torch.Generator().manual_seed(seed), output_type="latent", **how).images
    image = pipe("a boat", generator=torch.Generator().manual_seed(seed), output_type="pt", **how).images
    if not torch.is_tensor(image):  # the pipeline of Stable Diffusion 1 decodes to numpy's layout, whatever is asked
        image = torch.from_numpy(image).permute(0, 3, 1, 2)
    common.write_tensors(OUT / f"{name}.run.safetensors", {"latents": latents[0], "image": image[0]})


def load(cls, pack, net):
    pipe = cls.from_pretrained(VECTORS / pack, torch_dtype=torch.float32, local_files_only=True, adapter=net,
                               **({"safety_checker": None} if "XL" not in cls.__name__ else {}))
    pipe.set_progress_bar_config(disable=True)
    return pipe


def main():
    first, second = (Image.open(SEEN / f"{name}.png").convert("RGB") for name in ("first", "second"))
    one, xl = StableDiffusionAdapterPipeline, StableDiffusionXLAdapterPipeline
    full = adapter("full", "full_adapter", [16, 16, 16, 32], 2)
    grey = adapter("grey", "full_adapter", [16, 16, 16, 32], 2, colours=1)
    light = adapter("light", "light_adapter", [8, 16, 24], 3)
    large = adapter("xl", "full_adapter_xl", [8, 16, 16, 16], 2, 16)
    write_original("full", full, 2)
    write_original("light", light, None)
    write_run("full", load(one, "sd1-tiny", full), image=first, adapter_conditioning_scale=0.4)
    write_run("grey", load(one, "sd1-tiny", grey), image=first.convert("L"), adapter_conditioning_scale=0.5)
    write_run("light", load(one, "sd2-tiny", light), image=second, adapter_conditioning_scale=0.6)
    write_run("two", load(one, "sd1-tiny", MultiAdapter([full, adapter("other", "full_adapter", [16, 16, 16, 32], 1)])),
              image=[first, second], adapter_conditioning_scale=[0.3, 0.4])
    write_run("xl", load(xl, "sdxl-tiny", large), image=first, adapter_conditioning_scale=0.5, negative_prompt="blurry")
    write_run("xl-half", load(xl, "sdxl-tiny", large), image=first, adapter_conditioning_scale=0.5, negative_prompt="blurry",
              adapter_conditioning_factor=0.5)


main()
