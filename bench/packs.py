"""Full-size packs with random weights: made once, under build/bench."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NEEDED = 6 << 30  # bytes of memory for Stable Diffusion 1.5 at 512x512, with room for others


def python():
    """The interpreter that has torch and diffusers."""
    own = ROOT / ".venv/bin/python"
    return os.environ.get("SUMI_BENCH_PYTHON") or (str(own) if own.exists() else "python3")


def memory():
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def make(folder, *options, arch="sd15"):
    """False, with the reason on stderr, when the pack is not there and cannot be made."""
    if (folder / "model_index.json").exists():
        return True
    print(f"making {folder} (random weights, once)", file=sys.stderr, flush=True)
    command = [python(), str(ROOT / "tools/random_pack.py"), "--arch", arch, *options, str(folder)]
    try:
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        return True
    except (OSError, subprocess.CalledProcessError) as failure:
        reason = (getattr(failure, "stderr", "") or str(failure)).strip().splitlines()[-1]
        print(f"{folder} cannot be made: {reason}\n  it takes the packages of tools/requirements.txt; "
              f"SUMI_BENCH_PYTHON names a Python that has them", file=sys.stderr)
        return False


def big(out):
    """{"image", "video", "audio": folder} of Stable Diffusion 1.5's size; empty where they are not wanted, do not fit
    or cannot be made."""
    if os.environ.get("SUMI_BENCH_BIG") == "0":
        return {}
    if memory() < NEEDED and os.environ.get("SUMI_BENCH_BIG") != "1":
        print(f"without full-size models: {memory() >> 20} MiB of memory (SUMI_BENCH_BIG=1 tries)", file=sys.stderr)
        return {}
    image = Path(os.environ.get("SUMI_BENCH_SD15") or out / "sd15")
    packs = {}
    if make(image):
        packs["image"] = image
    for kind, option in (("video", "--motion"), ("audio", "--audio")):
        folder = out / f"sd15-{kind}"
        if packs and make(folder, option, "--share", str(image)):
            packs[kind] = folder
    return packs
