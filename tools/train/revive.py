# revive.py: makes checkpoints out of a pack, so that training goes on from the committed weights where the checkpoints are gone
# (the optimiser's momentum begins anew; the corpus is drawn again by chain.py).
#   python tools/train/revive.py --pack models/ink --out DIR
# With --fresh the weights are only the beginning of something new: counts begin at 0, and the text encoder and its tokens are new.
# That is how music began (music latents are not pictures, but edges, noise levels and attention are what they were):
#   python tools/train/revive.py --pack models/ink --kind music --fresh
# An autoencoder of another number of channels, as landscapes have, is not taken over, and none that is in training already.
# With --grow a larger pack of the same things begins: tokens are added to the pack's, weights go where shapes agree (counted from the
# finest level of the UNet), and the autoencoder is new. That is how pictures of 256 began:
#   python tools/train/revive.py --pack models/ink --kind ink-256 --profile cpu256 --grow
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


def grown(net, w, shift=0):
    """The module's state with the weights of `w` where name and shape agree; shift: levels that the net has more (its way up begins
    with them). Also how many numbers came over, of how many."""
    own, taken = net.state_dict(), 0
    for name, v in w.items():
        if name.startswith("up_blocks.") and shift:
            _, level, rest = name.split(".", 2)
            name = f"up_blocks.{int(level) + shift}.{rest}"
        if name in own and own[name].shape == v.shape:
            own[name], taken = v, taken + v.numel()
    return own, taken, sum(v.numel() for v in own.values())


def grown_embedding(own, w, tokens, pack):
    """Embeddings of the tokens that the pack's tokenizer has as well; others keep what they began with."""
    old = vocabulary.Tokenizer(os.path.join(pack, "tokenizer")).vocab
    name = next(k for k in own if k.endswith("token_embedding.weight"))
    for token, i in vocabulary.Tokenizer(tokens).vocab.items():
        if token in old:
            own[name][i] = w[name][old[token]]


def grow(nets, pack, tokens):
    """The pack's UNet and text encoder as the beginning of larger ones."""
    unet, levels = weights(pack, "unet"), len(nets.unet.config.block_out_channels)
    with open(os.path.join(pack, "unet", "config.json"), encoding="utf-8") as f:
        shift = levels - len(json.load(f)["block_out_channels"])
    own, taken, of = grown(nets.unet, unet, shift)
    nets.unet.load_state_dict(own)
    print(f"UNet: {taken} of {of} numbers from {pack}")
    text = fitting(nets.text, weights(pack, "text_encoder", "model.safetensors"))
    own, taken, of = grown(nets.text, text)
    grown_embedding(own, text, tokens, pack)
    nets.text.load_state_dict(own)
    print(f"text encoder: {taken} of {of}, and the embeddings of old tokens")


def main():
    p = argparse.ArgumentParser(description="checkpoints out of a pack")
    domains.add_arguments(p)
    p.add_argument("--pack")
    p.add_argument("--profile", help="the kind's own when not given")
    p.add_argument("--grow", action="store_true", help="begin a larger pack of the same things with these weights")
    p.add_argument("--fresh", action="store_true", help="begin another pack with these weights")
    a = p.parse_args()
    domain = domains.from_arguments(a)
    a.pack, a.fresh = a.pack or domain.pack, a.fresh or a.grow
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
        vocabulary.write(tokens, domain, os.path.join(a.pack, "tokenizer") if a.grow else None)
    else:
        shutil.copytree(os.path.join(a.pack, "tokenizer"), tokens, dirs_exist_ok=True)
    nets, _ = diffusion.restore(a.out, a.profile, common.device())
    if a.grow:
        grow(nets, a.pack, tokens)
    else:
        keep_autoencoder(a, domain, steps, seen["ae"])
        nets.unet.load_state_dict(weights(a.pack, "unet"), strict=True)
    if not a.fresh:
        own = nets.text.state_dict()
        nets.text.load_state_dict({**own, **fitting(nets.text, weights(a.pack, "text_encoder", "model.safetensors"))})
    average = common.Average(nets, 0.9985)
    common.save(os.path.join(a.out, "unet", "last.pt"), {"model": nets.state_dict(), "opt": None, "average": average.shadow, "spent": 0.0,
                                                         "steps": steps, "seen": seen["unet"], "profile": a.profile})


if __name__ == "__main__":
    main()
