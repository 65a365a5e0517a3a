# motion.py: trains AnimateDiff's motion modules (arXiv:2307.04725) over the frozen picture UNet of a pack, on the clips of
# tools/corpus/motion.py, and writes a pack that holds nothing but them: the rest is borrowed from the picture pack ("base").
#   python tools/train/motion.py train [--profile cpu|gpu|try]     corpus, latents, training; goes on from OUT/motion/last.pt
#   torchrun --nproc-per-node 2 tools/train/motion.py train --threads 1      the same, a process for each core: 1.6 times as fast
#   python tools/train/motion.py train --begin models/ink-motion   the same where the checkpoints are gone
#   python tools/train/motion.py look --to FILE.webp               what the averaged weights make of a few prompts
#   python tools/train/motion.py export --pack models/ink-motion
# With --profile gpu --minutes 20 --pack DIR all of it by one command. When the base pack has newer weights the same command goes on
# from the old modules over the new UNet; give a larger --samples. Latents are made anew when the encoder is another.
import argparse
import hashlib
import json
import os
import time

import common                                         # before torch: it settles how threads wait
import numpy as np
import torch
import torch.nn.functional as F

import diffusion
import export as packs
import models
import vocabulary
from corpus import attributes as A
from corpus import motion as M

# count: clips of the corpus; samples: clips seen; batch: clips of FEW frames, fewer where all frames are shown.
PROFILES = {
    "try": {"count": 20, "samples": 8, "batch": 3, "lr": 1e-3},
    "cpu": {"count": 4000, "samples": 60000, "batch": 12, "lr": 1.5e-3},
    "gpu": {"count": 10000, "samples": 600000, "batch": 64, "lr": 2e-3},
}
FEW, ALL_SHARE = 6, 0.2                               # frames of a batch; the share of batches that have all of them
MOVES = 4.0                                           # weight of what differs between frames against what they have in common
LATE = 1.5                                            # time steps lean to noise, where it is settled what moves
# Where a clip of four steps looks, and the share of all clips that is shown there.
AT_FOUR, FOUR_SHARE = {999: 0.35, 749: 0.3, 499: 0.2, 249: 0.15}, 0.5
HEADS, POSITIONS = 4, 32
# How often against the others: what is small is learned last.
SHOWN = {"waves": 3, "rain": 3, "stars": 3, "flicker": 2.5, "fog": 1.5, "light": 1.5}
STRENGTH = 1.2                                        # of the modules' output in the pack: guidance and few steps damp what moves
SHARED = 0.9                                          # of the noise's variance: the same for all frames (arXiv:2305.10474)
LOOK = ["an ink drop in a glass of water, watercolour", "neon sea at night, slow waves", "лес в тумане, масло", "pixel art mountains in the snow"]


class Base:
    """The frozen parts of a pack, as its own files say."""

    def __init__(self, pack, dev):
        from diffusers import AutoencoderTiny, UNet2DConditionModel
        from transformers import CLIPTextModel
        self.pack = pack
        self.unet = UNet2DConditionModel.from_pretrained(pack, subfolder="unet").float()
        self.text = CLIPTextModel.from_pretrained(pack, subfolder="text_encoder").float().to(dev).eval().requires_grad_(False)
        self.vae = AutoencoderTiny.from_pretrained(pack, subfolder="vae").float().to(dev).eval().requires_grad_(False)
        self.tokens = vocabulary.Tokenizer(os.path.join(pack, "tokenizer"))
        self.latent = self.unet.config.sample_size

    def digest(self, part):
        with open(os.path.join(self.pack, part, "diffusion_pytorch_model.safetensors"), "rb") as f:
            return hashlib.sha256(f.read()).hexdigest()[:16]


class Positions(torch.nn.Module):
    """diffusers' positions of frames, for clips of which some frames are left out: `shown` says which are there, None: the first."""

    def __init__(self, table):
        super().__init__()
        self.register_buffer("pe", table)
        self.shown = None

    def forward(self, x):
        return x + (self.pe[:, :x.shape[1]] if self.shown is None else self.pe[:, self.shown])


def build(base, dev):
    """(UNet with motion modules, the modules alone under the names of diffusers' MotionAdapter). They share their weights."""
    from diffusers import MotionAdapter, UNetMotionModel
    c = base.unet.config
    adapter = MotionAdapter(
        block_out_channels=c.block_out_channels, motion_layers_per_block=c.layers_per_block, motion_mid_block_layers_per_block=1,
        motion_num_attention_heads=HEADS, motion_norm_num_groups=32, motion_max_seq_length=POSITIONS, use_motion_mid_block=True)
    for name, p in adapter.named_parameters():
        if ".proj_out." in name:                      # at first the modules change nothing
            torch.nn.init.zeros_(p)
    net = UNetMotionModel.from_unet2d(base.unet, adapter).float()
    for own, theirs in ((adapter.down_blocks, net.down_blocks), (adapter.up_blocks, net.up_blocks), ([adapter.mid_block], [net.mid_block])):
        for a, b in zip(own, theirs):
            a.motion_modules = b.motion_modules
    for block in net.modules():
        if getattr(block, "pos_embed", None) is not None:
            block.pos_embed = Positions(block.pos_embed.pe)
    net.requires_grad_(False)
    adapter.requires_grad_(True)
    net.to(dev)
    return net, adapter


def velocity(net, z, t, text, shown=None):
    """The UNet's answer to clips z [n, frames, 4, h, w] at time steps t [n] with texts [n, tokens, width]. shown: which frames of a
    longer clip these are; None: its first."""
    for part in net.modules():
        if isinstance(part, Positions):
            part.shown = shown
    return net(z.transpose(1, 2), t, text.repeat_interleave(z.shape[1], 0)).sample.transpose(1, 2)


def mixed(own, common):
    """Noise [n, frames, 4, h, w] of which frames have a part [n, 1, 4, h, w] in common."""
    return SHARED ** 0.5 * common + (1 - SHARED) ** 0.5 * own


def frames_by_lot(rng):
    """Which frames of a clip a batch shows: all, or FEW of them, as often in a row as from anywhere. Attention does not count its
    frames, so that modules learn from a few at the price of a few what they do with all."""
    if rng.random() < ALL_SHARE:
        return np.arange(M.FRAMES)
    if rng.random() < 0.5:
        return np.sort(rng.choice(M.FRAMES, FEW, replace=False))
    return np.arange(FEW) + rng.integers(M.FRAMES - FEW + 1)


def late(t, rng):
    """Evenly spread time steps, moved towards noise; some of them to one of those of four steps."""
    spread = ((1 - (1 - t / models.STEPS) ** LATE) * models.STEPS).long().clamp(max=models.STEPS - 1)
    few = torch.from_numpy(rng.choice(list(AT_FOUR), len(t), p=list(AT_FOUR.values()))).to(t.device)
    return torch.where(torch.from_numpy(rng.random(len(t)) < FOUR_SHARE).to(t.device), few, spread)


def loss_between(got, wanted):
    """Mean square error, in which what differs between frames counts more than what they have in common."""
    error = got - wanted
    own = error - error.mean(1, keepdim=True)
    return error.square().mean() + (MOVES - 1) * own.square().mean(), own.square().mean()


def noise_like(z, rng):
    own, common = (rng.standard_normal((z.shape[0], f, *z.shape[2:]), dtype=np.float32) for f in (z.shape[1], 1))
    return torch.from_numpy(mixed(own, common)).to(z.device)


@torch.no_grad()
def encode(base, out, dev):
    """Latents of the whole corpus [N, frames, 4, h, w], half precision; kept while corpus and encoder are the same."""
    path, stamp = os.path.join(out, "latents.npy"), os.path.join(out, "latents.stamp")
    with open(os.path.join(out, "corpus", "done")) as f:
        wanted = f.read() + base.digest("vae")
    if os.path.exists(stamp) and open(stamp).read() == wanted:
        return
    clips = np.load(os.path.join(out, "corpus", "pictures.npy"), mmap_mode="r")
    z = np.lib.format.open_memmap(path + ".new", "w+", np.float16, (*clips.shape[:2], 4, base.latent, base.latent))
    began = time.time()
    for i in range(0, len(clips), 4):
        x = common.to_tensor(clips[i:i + 4].reshape(-1, *clips.shape[2:]), dev)
        z[i:i + 4] = base.vae.encoder(x).half().cpu().numpy().reshape(-1, *z.shape[1:])
        if i % 400 == 0:
            print(f"latents {i}/{len(clips)} {i / (time.time() - began):.1f}/s", flush=True)
    z.flush()
    os.replace(path + ".new", path)
    with open(stamp, "w") as f:
        f.write(wanted)


class Data:
    """Clips' latents, and captions made on the way; 10 % of them empty."""

    def __init__(self, base, out, dev, drop=0.1):
        self.z = torch.from_numpy(np.load(os.path.join(out, "latents.npy"))).to(dev)
        self.codes = np.load(os.path.join(out, "corpus", "codes.npy"))
        often = np.array([SHOWN.get(M.MOTIONS[c], 1) for c in self.codes[:, -1]], float)
        self.chance = often / often.sum()
        self.base, self.dev, self.drop = base, dev, drop

    @torch.no_grad()
    def batch(self, rng, count):
        which = rng.choice(len(self.z), size=count, p=self.chance)
        texts = ["" if rng.random() < self.drop else M.caption(A.from_codes(self.codes[i][:-1]), rng)[0] for i in which]
        ids = torch.tensor([self.base.tokens(t) for t in texts], device=self.dev)
        return self.z[torch.from_numpy(which).to(self.dev)].float(), self.base.text(ids).last_hidden_state


def from_pack(pack, adapter):
    """Clips that the modules of a pack have seen, its weights put into `adapter`: where checkpoints are gone training goes on from
    there; the optimiser's momentum begins anew."""
    import revive
    with open(os.path.join(pack, "sumi.json"), encoding="utf-8") as f:
        trained = json.load(f)["trained"]
    adapter.load_state_dict({**adapter.state_dict(), **revive.weights(pack, "motion_adapter")})
    strengthen(adapter, 1 / trained.get("strength", 1))
    return trained["motion_clips"]


@torch.no_grad()
def strengthen(adapter, factor):
    """Multiplies what the modules add to their input."""
    for name, p in adapter.named_parameters():
        if ".proj_out." in name:
            p.mul_(factor)


def train(base, out, profile, samples, seconds, team, begin=None):
    dev, p = common.device(), PROFILES[profile]
    folder, batch = os.path.join(out, "motion"), p["batch"]
    net, adapter = build(base, dev)
    data, alphas = Data(base, out, dev), models.alphas_cumprod(dev)
    opt, avg, seen = common.Optimiser([adapter], p["lr"], adam=0.5), common.Average(adapter, 0.999), 0
    state, unet = common.load(os.path.join(folder, "last.pt")), base.digest("unet")
    if state:
        adapter.load_state_dict(state["model"])
        opt.load_state_dict(state["opt"])
        avg.shadow, avg.steps, seen = state["average"], state["steps"], state["seen"]
        if state["base"] != unet:
            print(f"the base pack's UNet is another than before: the modules go on over it after {seen} clips", flush=True)
    elif begin:
        seen = from_pack(begin, adapter)
        avg = common.Average(adapter, 0.999)
        avg.steps = 1000                              # slow from the start
    begun = seen
    clock = common.Clock(samples, seconds, state["spent"] if state and not seconds else 0.0)
    log = common.Log(os.path.join(folder, "log.jsonl") if team.rank == 0 else os.devnull, "motion")

    def keep():
        common.save(os.path.join(folder, "last.pt"), {"model": adapter.state_dict(), "opt": opt.state_dict(), "average": avg.shadow,
                                                      "steps": avg.steps, "seen": seen, "spent": clock.spent, "base": unet})
    while True:
        progress = team.mean(torch.tensor(clock.progress(seen))).item()
        if progress >= 1:
            break
        shown = frames_by_lot(np.random.default_rng([33, seen]))
        rng = np.random.default_rng([31, seen, team.rank])   # a batch depends on nothing but what was seen before it
        count = max(1, batch * FEW // len(shown))
        z, text = data.batch(rng, count)
        z = z[:, shown]
        t = late(diffusion.steps_by_lot(rng, count, dev), rng)
        noise = noise_like(z, rng)
        x, v = diffusion.noised(z, t, noise, alphas)
        with common.amp(dev):
            loss, moving = loss_between(velocity(net, x, t, text, shown).float(), v)
        loss.backward()
        team.share_gradients(opt.params)
        opt.step(common.schedule(progress, seen, 100 * batch))
        avg.update(adapter)
        seen += count * team.size
        log.add(count, loss=loss.item(), moving=moving.item())
        clock.tick()
        if clock.due() and team.rank == 0:
            log.flush(seen)
            keep()
    if team.rank:
        return
    if log.n:                                         # else modules that were not trained over this UNet would be taken for such
        log.flush(seen)
    if seen > begun:
        keep()
    else:
        print(f"{seen} clips have been seen already: give a larger --samples", flush=True)


def restore(base, out, dev):
    """(UNet with the averaged modules, the modules, the checkpoint)."""
    net, adapter = build(base, dev)
    state = common.load(os.path.join(out, "motion", "last.pt"))
    if not state:
        raise SystemExit(f"{out} has no motion/last.pt: train first")
    adapter.load_state_dict({**adapter.state_dict(), **state["average"]})
    return net.eval(), adapter, state


@torch.no_grad()
def loss_of(net, base, out, dev, batches=40):
    """Mean loss on fixed noise over clips of OUT/corpus, in steps of two clips: compares modules with none."""
    data, alphas, total = Data(base, out, dev, drop=0.0), models.alphas_cumprod(dev), 0.0
    for k in range(batches):
        rng = np.random.default_rng([32, k])
        z, text = data.batch(rng, 2)
        t = diffusion.steps_by_lot(rng, 2, dev)
        noise = noise_like(z, rng)
        x, v = diffusion.noised(z, t, noise, alphas)
        total += F.mse_loss(velocity(net, x, t, text), v).item()
    return total / batches


@torch.no_grad()
def paint(net, base, prompts, dev, steps=20, scale=3.0, seed=1):
    """Clips [n, frames, h, w, 3] in 0..1 by plain DDIM with guidance, one prompt at a time."""
    alphas = models.alphas_cumprod(dev)
    ids = torch.tensor([base.tokens(p) for p in prompts] + [base.tokens("")], device=dev)
    text, out = base.text(ids).last_hidden_state, []
    ts = torch.linspace(models.STEPS, 0, steps + 1).round().long() - 1
    for i in range(len(prompts)):
        both = torch.stack([text[-1], text[i]])
        # In diffusers' order of numbers, and so in sumi's: a seed gives the same clip.
        g = torch.Generator().manual_seed(seed + i)
        own, common = (torch.randn((1, 4, f, base.latent, base.latent), generator=g) for f in (M.FRAMES, 1))
        x = mixed(own, common).transpose(1, 2).to(dev)
        for t, s in zip(ts[:-1], ts[1:]):
            u, c = velocity(net, torch.cat([x, x]), t.to(dev).expand(2), both).chunk(2)
            x0, eps = models.from_v(x, u + scale * (c - u), alphas[t])
            a = alphas[max(int(s), 0)]
            x = a.sqrt() * x0 + (1 - a).sqrt() * eps
        out.append(base.vae.decoder(x[0]).add(1).div(2).clamp(0, 1).permute(0, 2, 3, 1).cpu().numpy())
    return np.stack(out)


def export(base, out, pack, profile, seed):
    if os.path.dirname(os.path.abspath(base.pack)) != os.path.dirname(os.path.abspath(pack)):
        raise SystemExit(f"{pack} must lie beside {base.pack}: a pack names its base without a path")
    _, adapter, state = restore(base, out, torch.device("cpu"))
    if state["base"] != base.digest("unet"):
        raise SystemExit(f"the modules were trained over another UNet than that of {base.pack}: run train once more, with a larger --samples")
    strengthen(adapter, STRENGTH)
    packs.put(os.path.join(pack, "motion_adapter"), "diffusion_pytorch_model.safetensors", packs.tensors(adapter),
              packs.config_of(adapter, "MotionAdapter"))
    packs.write_json(os.path.join(pack, "model_index.json"), {
        "_class_name": "AnimateDiffPipeline", "_diffusers_version": "0.30.0", "motion_adapter": ["diffusers", "MotionAdapter"]})
    side = 8 * base.latent
    packs.write_json(os.path.join(pack, "sumi.json"), {
        "name": os.path.basename(os.path.abspath(pack)), "base": os.path.basename(os.path.abspath(base.pack)), "modality": "video",
        "licence": "CC0-1.0", "licence_of_the_code": "MIT",
        "provenance": "Trained from nothing on clips drawn by the program in tools/corpus; no filmed material.",
        "corpus": {"version": M.VERSION, "seed": seed}, "languages": ["en", "ru"],
        "command": f"python tools/train/motion.py train --profile {profile} --seed {seed} --base {base.pack} --pack {pack}",
        "trained": {"motion_clips": state["seen"], "over_unet": state["base"], "strength": STRENGTH},
        "noise_shared": SHARED, "defaults": {"sampler": "ddim", "steps": 20, "cfg_scale": 2.0, "width": side, "height": side},
        "fast": {"unet": "unet", "sampler": "unipc", "steps": 4, "cfg_scale": 2.5}})
    size = sum(os.path.getsize(os.path.join(d, f)) for d, _, fs in os.walk(pack) for f in fs)
    print(f"{pack}: {size / 1e6:.1f} MB, after {state['seen']} clips")


def main():
    p = argparse.ArgumentParser(description="motion modules over a picture pack")
    p.add_argument("what", choices=["train", "look", "compare", "export"])
    p.add_argument("--base", default="models/ink", help="the picture pack")
    p.add_argument("--out", default="build/train/ink-motion")
    p.add_argument("--pack", help="where the motion pack goes, beside the base (train: after training)")
    p.add_argument("--begin", help="train: a motion pack to go on from where --out has no checkpoint")
    p.add_argument("--profile", default="gpu" if common.device().type == "cuda" else "cpu", choices=list(PROFILES))
    p.add_argument("--samples", type=int, help="clips to see, all in all")
    p.add_argument("--minutes", type=float, help="for this call, the drawing of the corpus included")
    p.add_argument("--count", type=int, help="clips of the corpus")
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--to", default="look.webp")
    a = p.parse_args()
    began, dev, team = time.time(), common.device(), common.Team()
    if a.what == "train" and team.rank == 0:          # the corpus first: it forks, which a process with threads should not
        from diffusers import UNet2DConditionModel
        side = 8 * UNet2DConditionModel.load_config(a.base, subfolder="unet")["sample_size"]
        M.build(os.path.join(a.out, "corpus"), a.count or PROFILES[a.profile]["count"], a.seed, "train", side,
                a.threads if dev.type == "cpu" else None)
    common.setup(a.threads)
    base = Base(a.base, dev)
    if a.what == "train":
        if team.rank == 0:
            encode(base, a.out, dev)
        team.wait()
        left = a.minutes * 60 - (time.time() - began) if a.minutes else None
        if left is None or left > 0:
            train(base, a.out, a.profile, a.samples or PROFILES[a.profile]["samples"], left, team, a.begin)
        if a.pack and team.rank == 0:
            export(base, a.out, a.pack, a.profile, a.seed)
    elif a.what == "look":
        common.save_clips(a.to, paint(restore(base, a.out, dev)[0], base, LOOK, dev))
    elif a.what == "compare":
        print({"without": round(loss_of(build(base, dev)[0].eval(), base, a.out, dev), 5),
               "with": round(loss_of(restore(base, a.out, dev)[0], base, a.out, dev), 5)})
    else:
        export(base, a.out, a.pack or "models/ink-motion", a.profile, a.seed)


if __name__ == "__main__":
    main()
