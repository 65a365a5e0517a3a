# chain.py: the whole way from nothing to the pack, in one command: corpus on all cores, autoencoder, UNet, distillation, export.
#   python tools/train/chain.py --profile cpu                      two cores, hours; stop it whenever you like and start it again
#   python tools/train/chain.py --profile gpu --minutes 25         a data-centre GPU, 256 x 256, within the minutes given
#   python tools/train/chain.py --kind music ...                   the same for models/ink-music; --kind world for models/ink-world;
#                                                                  --kind ink-256 for pictures of 256x256 on two cores;
#                                                                  --kind music-stereo for clips of 32 kHz in two channels
# Each stage goes on from its own checkpoint. With --minutes the stages share the time that is left; --until ends one call early
# (for machines that are lent for ten minutes at a time) after a checkpoint. --parts also cuts the pack into pieces of 16 MiB.
import argparse
import os
import subprocess
import sys
import tarfile
import time

import common
import domains

# count: pictures of the corpus; then samples of each stage and the batch that suits the machine.
# music: what differs for clips of music.
# cpu "ae": where the encoder of the committed pack was settled; more would move the latents under the UNet (use --freeze).
PROFILES = {
    "try": {"count": 128, "ae": 64, "ae_batch": 16, "side": 64, "width": 32, "unet": 64, "batch": 32, "unet_lr": 3e-3, "fast": 64,
            "fast_batch": 32, "share": None},
    "cpu": {"count": 24000, "ae": 37504, "ae_batch": 16, "side": 64, "width": 32, "unet": 600000, "batch": 32, "unet_lr": 2e-3,
            "fast": 60000, "fast_batch": 64, "share": None, "music": {"count": 12000, "ae": 60000, "unet": 400000, "unet_lr": 2.5e-3,
                                                                      "batch": 64},
            "music-stereo": {"count": 12000, "ae": 120000, "unet": 400000, "unet_lr": 2.5e-3, "batch": 64},
            "world": {"ae": 140000, "batch": 64, "unet": 500000, "unet_lr": 2.5e-3}},
    "cpu256": {"count": 16000, "ae": 240000, "ae_batch": 16, "side": 64, "width": 48, "unet": 900000, "batch": 64, "unet_lr": 2.5e-3,
               "fast": 60000, "fast_batch": 64, "share": None},
    "gpu": {"count": 60000, "ae": 400000, "ae_batch": 64, "side": 128, "width": 32, "unet": 4000000, "batch": 512, "unet_lr": 2e-3,
            "fast": 500000, "fast_batch": 256, "share": {"corpus": 0.28, "ae": 0.14, "encode": 0.03, "unet": 0.43, "fast": 0.12},
            "music": {"count": 20000}, "music-stereo": {"count": 20000}},
}


def draw(domain, a, folder, count, seed, which, *size):
    """The command that draws a corpus; size: one (height, width) where it is not the profile's."""
    more = "".join(f", {s!r}" for s in size)
    code = f"import domains; domains.of({domain.name!r}).build({folder!r}, {count}, {seed}, {which!r}, {a.profile!r}{more})"
    return [sys.executable, "-c", f"import sys; sys.path.insert(0, {os.path.dirname(os.path.abspath(__file__))!r}); {code}"]


def stages(domain, a, p):
    """(name, command) of each stage, in order. Every one is a process of its own: its memory is free when the next begins."""
    here = os.path.dirname(os.path.abspath(__file__))
    py = [sys.executable]
    run = ["--kind", a.kind, "--out", a.out, "--threads", str(a.threads)]
    net = run + ["--profile", a.profile]
    yield "corpus", draw(domain, a, os.path.join(a.out, "corpus"), p["count"], a.seed, "train")
    yield "corpus-test", draw(domain, a, os.path.join(a.out, "corpus-test"), min(2000, p["count"]), a.seed + 1, "all")
    yield "ae", py + [os.path.join(here, "autoencoder.py"), "--samples", str(p["ae"]), "--batch", str(p["ae_batch"]), "--side",
                      str(p["side"]), "--width", str(p["width"])] + run
    for i, (size, (share, *side)) in enumerate(domain.others(a.profile).items()):
        yield f"corpus-{size}", draw(domain, a, os.path.join(a.out, f"corpus-{size}"), int(share * p["count"]), a.seed + 10 + i, "train", tuple(side))
    yield "encode", py + [os.path.join(here, "diffusion.py"), "--encode"] + net
    yield "unet", py + [os.path.join(here, "diffusion.py"), "--samples", str(p["unet"]), "--batch", str(p["batch"]), "--lr",
                        str(p["unet_lr"])] + net
    yield "fast", py + [os.path.join(here, "distil.py"), "--samples", str(p["fast"]), "--batch", str(p["fast_batch"])] + net
    yield "export", py + [os.path.join(here, "export.py"), "--kind", a.kind, "--out", a.out, "--pack", a.pack, "--profile", a.profile,
                          "--seed", str(a.seed)]


def parts(pack, folder, size=16 << 20):
    """The pack as one tar file, cut into pieces that travel: cat them together to have it back."""
    os.makedirs(folder, exist_ok=True)
    whole = os.path.join(folder, "pack.tar")
    with tarfile.open(whole, "w") as t:
        t.add(pack, arcname=os.path.basename(pack.rstrip("/")))
    with open(whole, "rb") as f:
        for i, block in enumerate(iter(lambda: f.read(size), b"")):
            with open(f"{whole}.{i:02d}", "wb") as g:
                g.write(block)
    os.remove(whole)


def main():
    p = argparse.ArgumentParser(description="corpus, autoencoder, UNet, distillation, export")
    p.add_argument("--profile", choices=list(PROFILES), help="gpu where there is one, else what the kind takes on two cores")
    domains.add_arguments(p)
    p.add_argument("--pack", help="where the pack goes (its kind's own when not given)")
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--minutes", type=float, help="the whole chain's time: each stage is cut to its share (profile gpu)")
    p.add_argument("--until", type=float, help="stop this call after so many minutes; the next one goes on")
    p.add_argument("--parts", help="folder for the pack in pieces of at most 16 MiB")
    a = p.parse_args()
    a.profile = a.profile or ("gpu" if common.device().type == "cuda" else None)
    domain = domains.from_arguments(a)
    a.pack = a.pack or domain.pack
    profile, began = {**PROFILES[a.profile], **PROFILES[a.profile].get(a.kind, {})}, time.time()
    os.makedirs(a.out, exist_ok=True)
    for name, cmd in stages(domain, a, profile):
        share = (profile["share"] or {}).get(name)
        limit = a.minutes * 60 * share if a.minutes and share and name in ("ae", "unet", "fast") else None
        if limit:
            cmd = cmd + ["--seconds", str(int(limit))]
        left = a.until * 60 - (time.time() - began) if a.until else None
        print(f"== {name} ==", flush=True)
        try:
            subprocess.run(cmd, check=True, timeout=left)
        except subprocess.TimeoutExpired:
            print(f"time is up in stage {name}; the same command goes on from its checkpoint")
            return
    if a.parts:
        parts(a.pack, a.parts)


if __name__ == "__main__":
    main()
