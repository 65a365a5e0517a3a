# revive.py: makes checkpoints out of a pack, so that training goes on from the committed weights where the checkpoints are gone
# (the optimiser's momentum begins anew; the corpus is drawn again by chain.py).
#   python tools/train/revive.py --pack models/ink --out DIR
# With --fresh the weights are only the beginning of something new: counts begin at 0, and the text encoder and its tokens are new.
# That is how music began (music latents are not pictures, but edges, noise levels and attention are what they were):
#   python tools/train/revive.py --pack models/ink --kind music --fresh
# An autoencoder of another number of channels, as landscapes have, is not taken over, and none that is in training already.
import argparse
import json
import os
import shutil

from safetensors.torch import load_file

import autoencoder
import common
import domains
import vocabulary


def weights(pack, part, name="diffusion_pytorch_model.safetensors"):
    return {k: v.float() for k, v in load_file(os.path.join(pack, part, name)).items()}


def fitting(module, w):
    """The names that this version of transformers gives the text encoder: with or without the prefix."""
    own = set(module.state_dict())
    return {k if k in own else k.removeprefix("text_model."): v for k, v in w.items()}


def keep_autoencoder(a, domain, steps, seen):
    """The pack's autoencoder, where it sees as many channels and none is being trained here."""
    path, vae = os.path.join(a.out, "ae", "last.pt"), weights(a.pack, "vae")
    width, channels = vae["encoder.layers.0.weight"].shape[:2]
    if os.path.exists(path) or channels != domain.channels:
        return
    common.save(path, {"model": {**autoencoder.build(width, channels).state_dict(), **vae}, "opt": None, "average": vae, "steps": steps,
                       "seen": seen, "width": width, "channels": channels})


def main():
    p = argparse.ArgumentParser(description="checkpoints out of a pack")
    domains.add_arguments(p)
    p.add_argument("--pack")
    p.add_argument("--profile", default="cpu")
    p.add_argument("--fresh", action="store_true", help="begin another pack with these weights")
    a = p.parse_args()
    domain = domains.from_arguments(a)
    a.pack = a.pack or domain.pack
    if os.path.exists(os.path.join(a.out, "unet", "last.pt")):
        raise SystemExit(f"{a.out} has checkpoints already")
    import diffusion
    with open(os.path.join(a.pack, "sumi.json"), encoding="utf-8") as f:
        trained = json.load(f)["trained"]
    seen = {"ae": 0, "unet": 0} if a.fresh else {"ae": trained["autoencoder_crops"], "unet": trained[f"unet_{domain.what}"]}
    tokens, steps = os.path.join(a.out, "tokenizer"), 0 if a.fresh else 1000
    begun_from = a.pack if a.fresh else trained.get("begun_from")
    os.makedirs(a.out, exist_ok=True)
    if begun_from:
        with open(os.path.join(a.out, "begun_from"), "w") as f:
            f.write(begun_from + "\n")                # for sumi.json
    if a.fresh:
        vocabulary.write(tokens, domain)
    else:
        shutil.copytree(os.path.join(a.pack, "tokenizer"), tokens, dirs_exist_ok=True)
    keep_autoencoder(a, domain, steps, seen["ae"])
    nets, _ = diffusion.restore(a.out, a.profile, common.device())
    nets.unet.load_state_dict(weights(a.pack, "unet"), strict=True)
    if not a.fresh:
        own = nets.text.state_dict()
        nets.text.load_state_dict({**own, **fitting(nets.text, weights(a.pack, "text_encoder", "model.safetensors"))})
    average = common.Average(nets, 0.9985)
    common.save(os.path.join(a.out, "unet", "last.pt"), {"model": nets.state_dict(), "opt": None, "average": average.shadow, "spent": 0.0,
                                                         "steps": steps, "seen": seen["unet"], "profile": a.profile})


if __name__ == "__main__":
    main()
