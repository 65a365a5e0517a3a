# render.py: renders a file of prompts, through the C core (the proof) or through the training code's own networks (a quick look).
#   python tools/judge/render.py --prompts p.jsonl --to DIR --sumi build/bin/sumi --pack models/ink --steps 20 --cfg-scale 3
#   python tools/judge/render.py --prompts p.jsonl --to DIR --checkpoint DIR [--fast]
# --fast is the distilled UNet, with its pack's own steps (of a checkpoint: 4) unless --steps says otherwise.
# With --kind music clips of sound, and their spectrograms, which are what the judges look at.
import argparse
import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "train"))
import domains


def command(domain, row, path, a):
    """What makes the file of one prompt."""
    said = ["--fast"] if a.fast else []
    for word, value, usual in (("--steps", a.steps, 20), ("--cfg-scale", a.cfg_scale, 3.0)):
        if value is not None or not a.fast:           # what the fast variant wants stands in the pack
            said += [word, str(usual if value is None else value)]
    return [a.sumi, "render", "--modality", domain.modality, "--pack", a.pack or domain.pack, row["prompt"], "-o", path, *said,
            "--seed", str(row["seed"]), *a.extra]


def through_core(domain, rows, a):
    for r in rows:
        path = os.path.join(a.to, os.path.splitext(r["file"])[0] + domain.file_type)
        if os.path.exists(path):
            continue
        subprocess.run(command(domain, r, path, a), check=True, stdout=subprocess.DEVNULL)


def through_torch(domain, rows, a):
    import torch
    from PIL import Image

    import autoencoder
    import common
    import diffusion
    import models
    import vocabulary
    common.setup(a.threads)
    dev = common.device()
    nets, state = diffusion.restore(a.checkpoint, a.profile, dev)
    if a.fast:
        nets.unet.load_state_dict({**nets.unet.state_dict(), **common.load(os.path.join(a.checkpoint, "fast", "last.pt"))["average"]})
    vae, _ = autoencoder.restore(a.checkpoint, 32, dev)
    tokens, alphas = vocabulary.Tokenizer(os.path.join(a.checkpoint, "tokenizer")), models.alphas_cumprod(dev)
    latent = domain.latent(a.profile)
    steps, scale = (a.steps or 4, 1.0) if a.fast else (a.steps or 20, 3.0 if a.cfg_scale is None else a.cfg_scale)
    for i in range(0, len(rows), 25):
        part = rows[i:i + 25]
        ids = torch.tensor([tokens(r["prompt"]) for r in part] + [tokens("")], device=dev)
        noise = torch.stack([torch.randn((4, *latent), generator=torch.Generator().manual_seed(r["seed"])) for r in part]).to(dev)
        with torch.no_grad():
            text = nets.text(ids).last_hidden_state
            z = models.ddim(nets.unet, noise, text[:-1], text[-1:], steps, scale, alphas)
            y = vae.decoder(z).add(1).mul(127.5).round().clamp(0, 255).byte().permute(0, 2, 3, 1).cpu().numpy()
        for r, pic in zip(part, y):
            Image.fromarray(pic).save(os.path.join(a.to, r["file"]))


def arguments(words=None):
    p = argparse.ArgumentParser(description="render prompts")
    p.add_argument("--kind", default="picture", choices=list(domains.KINDS))
    p.add_argument("--prompts", required=True)
    p.add_argument("--to", required=True)
    p.add_argument("--sumi", default="build/bin/sumi")
    p.add_argument("--pack")
    p.add_argument("--checkpoint")
    p.add_argument("--profile", help="of the checkpoint (the kind's own when not given)")
    p.add_argument("--fast", action="store_true")
    p.add_argument("--steps", type=int, help="20 when not given, and not --fast")
    p.add_argument("--cfg-scale", type=float, help="3 when not given, and not --fast")
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("extra", nargs="*", help="more arguments for sumi render, after --")
    return p.parse_args(words)


def main():
    a = arguments()
    os.makedirs(a.to, exist_ok=True)
    rows = [json.loads(line) for line in open(a.prompts, encoding="utf-8")]
    a.profile = a.profile or domains.of(a.kind).profile
    (through_torch if a.checkpoint else through_core)(domains.of(a.kind), rows, a)


if __name__ == "__main__":
    main()
