# revive.py: makes checkpoints out of a pack, so that training goes on from the committed weights where the checkpoints are gone
# (the optimiser's momentum begins anew; the corpus is drawn again by chain.py).
#   python tools/train/revive.py --pack models/ink --out DIR
import argparse
import json
import os
import shutil

from safetensors.torch import load_file

import autoencoder
import common


def weights(pack, part, name="diffusion_pytorch_model.safetensors"):
    return {k: v.float() for k, v in load_file(os.path.join(pack, part, name)).items()}


def fitting(module, w):
    """The names that this version of transformers gives the text encoder: with or without the prefix."""
    own = set(module.state_dict())
    return {k if k in own else k.removeprefix("text_model."): v for k, v in w.items()}


def main():
    p = argparse.ArgumentParser(description="checkpoints out of a pack")
    p.add_argument("--pack", default="models/ink")
    p.add_argument("--out", default="build/train/ink")
    p.add_argument("--profile", default="cpu")
    a = p.parse_args()
    if os.path.exists(os.path.join(a.out, "unet", "last.pt")):
        raise SystemExit(f"{a.out} has checkpoints already")
    import diffusion
    with open(os.path.join(a.pack, "sumi.json"), encoding="utf-8") as f:
        trained = json.load(f)["trained"]
    shutil.copytree(os.path.join(a.pack, "tokenizer"), os.path.join(a.out, "tokenizer"), dirs_exist_ok=True)
    vae = weights(a.pack, "vae")
    width = vae["encoder.layers.0.weight"].shape[0]
    common.save(os.path.join(a.out, "ae", "last.pt"), {"model": {**autoencoder.build(width).state_dict(), **vae}, "opt": None,
                                                       "average": vae, "steps": 1000, "seen": trained["autoencoder_crops"],
                                                       "width": width})
    nets, _ = diffusion.restore(a.out, a.profile, common.device())
    nets.unet.load_state_dict(weights(a.pack, "unet"), strict=True)
    own = nets.text.state_dict()
    nets.text.load_state_dict({**own, **fitting(nets.text, weights(a.pack, "text_encoder", "model.safetensors"))})
    average = common.Average(nets, 0.9985)
    common.save(os.path.join(a.out, "unet", "last.pt"), {"model": nets.state_dict(), "opt": None, "average": average.shadow, "spent": 0.0,
                                                         "steps": 1000, "seen": trained["unet_pictures"], "profile": a.profile})


if __name__ == "__main__":
    main()
