#!/usr/bin/env python3
"""Fits the linear map from a pack's latents to colours, "preview" in sumi.json, and prints it.

    .venv/bin/python tools/preview_map.py models/ink PICTURE…

Pictures of the kind that the model makes are encoded by the pack's VAE; least squares finds the colours of each latent
pixel's square. The more pictures, the better; sides are cut to multiples of 64.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image


def load_vae(pack):
    import diffusers
    name = json.loads((pack / "vae/config.json").read_text())["_class_name"]
    return getattr(diffusers, name).from_pretrained(pack / "vae").eval()


def encode(vae, pixels):
    """pixels [1, 3, h, w] in -1..1 → latents [c, h/8, w/8], scaled as the UNet has them."""
    out = vae.encode(pixels)
    z = out.latents if hasattr(out, "latents") else out.latent_dist.mean
    return (z * vae.config.scaling_factor)[0]


def fit(encode, pictures):
    """(the map as sumi.json has it, latent pixels used, share of the colours' variance that it explains).

    encode: pixels [1, c, h, w], colour first, in -1..1 -> latents [c, h/8, w/8]; pictures: such pixels, of any sizes."""
    rows, colours = [], []
    with torch.no_grad():
        for x in pictures:
            z = encode(x)
            small = torch.nn.functional.adaptive_avg_pool2d(x[:, :3], z.shape[1:])[0]
            rows.append(z.flatten(1).T.double().numpy())
            colours.append(small.flatten(1).T.double().numpy())
    z, rgb = np.concatenate(rows), np.concatenate(colours)
    design = np.concatenate([z, np.ones((len(z), 1))], axis=1)
    found, *_ = np.linalg.lstsq(design, rgb, rcond=None)
    error = rgb - design @ found
    explained = 1 - (error ** 2).sum() / ((rgb - rgb.mean(0)) ** 2).sum()
    rounded = [[round(float(v), 3) for v in row] for row in found]
    return {"matrix": rounded[:-1], "bias": rounded[-1]}, len(z), explained


def read(path):
    picture = Image.open(path).convert("RGB")
    width, height = (side // 64 * 64 for side in picture.size)
    if not width or not height:
        raise SystemExit(f"{path}: smaller than 64x64")
    return torch.from_numpy(np.asarray(picture)[:height, :width].copy()).permute(2, 0, 1)[None].float() / 127.5 - 1


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pack", type=Path)
    parser.add_argument("pictures", type=Path, nargs="+")
    args = parser.parse_args()
    vae = load_vae(args.pack)
    found, count, explained = fit(lambda x: encode(vae, x), (read(path) for path in args.pictures))
    print(json.dumps({"preview": found}))
    print(f"{count} latent pixels, {100 * explained:.1f} % of the colours' variance")


if __name__ == "__main__":
    main()
