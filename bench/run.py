#!/usr/bin/env python3
"""Figures of this machine, one bench after the other, as tables and as build/bench/bench.json.

Compare shares and ratios: absolute times are a machine's mood of the hour. "Busy" is processor time divided by the
device's compute units, the wall clock that a quiet machine would show. docs/performance.md explains the JSON.

    SUMI_BENCH_DEVICE=SEL     a device of "sumi devices", such as opencl:1 (default: the first GPU, else the first)
    SUMI_BENCH_BIG=0          without models of Stable Diffusion 1.5's size (1: even where memory looks too small)
    SUMI_BENCH_PACKS="DIR…"   other packs to time (default: those in models/)
    SUMI_BENCH_ONLY="PART…"   of operations models cold whole peers queue storage
    SUMI_BENCH_SD15=DIR       a pack of Stable Diffusion 1.5's shape (default: random weights in build/bench/sd15)
    SUMI_BENCH_PYTHON=FILE    a Python with tools/requirements.txt (default: .venv/bin/python)
    SUMI_BENCH_PRECISION=half what sumi computes in (default: exact)
    SUMI_BENCH_TURNS=N        pairs a peer is measured in (default 2)
    SUMI_BENCH_WORDS=W,W      of "step,decode,encode,text,whole": what diffusers' engines are measured in (default: all)
    SUMI_BENCH_OUT=FILE       where the JSON goes
    SDCPP=FILE[:FILE…]        stable-diffusion.cpp's sd-cli, measured with the same weights: the fastest of several builds
    SDCPP_OPTIONS, _THREADS   its options (default: with --diffusion-fa or without, what a short trial finds) and threads (default: all)
    DIFFUSERS=1               diffusers too; or engines of tools/bench_diffusers.py, such as "torch,openvino"
"""

import json
import os
import shutil
import sys
from pathlib import Path

import packs
import peers
import process
import report

BUILD = Path(os.environ.get("BUILD", "build"))
OUT = BUILD / "bench"
CACHE = (OUT / "cache").absolute()  # sumi's and PoCL's, apart from the user's
SUMI = BUILD / "bin/sumi"
PRECISION = os.environ.get("SUMI_BENCH_PRECISION", "exact")
PARTS = ("operations", "models", "cold", "whole", "peers", "queue", "storage")

# name, which of the big packs, arguments of sumi render, the file's ending
WHOLE = [
    ("picture 512x512, 4 steps", "image", ["--width", "512", "--height", "512", "--steps", "4"], "webp"),
    ("video 256x256, 16 frames, 2 steps", "video", ["--width", "256", "--height", "256", "--frames", "16",
                                                    "--steps", "2"], "webp"),
    ("clip of 5 s, 4 steps", "audio", ["--duration", "5", "--steps", "4"], "ogg"),
]


def make_caches():
    for name, variable in (("sumi", "SUMI_CACHE_DIR"), ("pocl", "POCL_CACHE_DIR")):
        (CACHE / name).mkdir(parents=True, exist_ok=True)
        os.environ[variable] = str(CACHE / name)


class Bench:
    def __init__(self):
        self.device = report.device(SUMI)
        self.result = {"schema": 1, "machine": report.machine(), "device": self.device}
        self.big = packs.big(OUT)
        wanted = os.environ.get("SUMI_BENCH_PACKS")
        self.packs = [Path(p) for p in (wanted.split() if wanted else sorted(Path("models").glob("*")))]
        self.packs = [p for p in self.packs if (p / "model_index.json").exists()]

    def busy(self, wall, cpu):
        """What bench/meter.h means by it."""
        return cpu / self.device["compute_units"] if self.device["kind"] == "cpu" else wall

    def program(self, name, *arguments):
        """Runs one of the C benches, whose table goes to the terminal as it comes, and reads its JSON."""
        place = OUT / f"{name}.json"
        print(f"\n== {name} {' '.join(map(str, arguments))}", flush=True)
        process.Run([OUT / name, *arguments, "--device", self.device["selector"], "--precision", PRECISION, "--json", place],
                    echo=True)
        return json.loads(place.read_text())

    def operations(self):
        self.result["operations"] = self.program("ops")

    def models(self):
        rows = [self.program("models", self.big["image"], "--repeat", "2")] if self.big else []
        if "video" in self.big:
            rows.append(self.program("models", self.big["video"], "--size", "256x256", "--frames", "16", "--only", "step",
                                     "--repeat", "1"))
        for pack in self.packs:
            if not (pack / "unet").is_dir():  # its models are those of its base
                continue
            info = json.loads((pack / "sumi.json").read_text()) if (pack / "sumi.json").exists() else {}
            size = info.get("defaults", {})
            rows.append(self.program("models", pack, "--size", f"{size.get('width', 512)}x{size.get('height', 512)}"))
        self.result["models"] = rows

    def render(self, pack, arguments, ending):
        command = [SUMI, "render", peers.PROMPT, "-p", pack, "-d", self.device["selector"], "--seed", "1",
                   "--precision", PRECISION, "-o", OUT / f"whole.{ending}", *arguments]
        return process.Run(command, peers.SUMI_MARKS, terminal=True)

    def whole_row(self, name, pack, arguments, ending):
        print(f"{name} ({pack})", flush=True)
        run = self.render(pack, arguments, ending)
        last = max((int(n[4:]) for n in run.stamps if n.startswith("step")), default=1)
        steps = run.between("step1", f"step{last}") if last > 1 else None
        return {"name": f"{pack.name}: {name}", "wall_seconds": run.wall, "busy_seconds": self.busy(run.wall, run.cpu),
                "step_wall_seconds": steps and steps[0] / (last - 1),
                "step_busy_seconds": steps and self.busy(*steps) / (last - 1), "peak_resident_mib": run.rss}

    def whole(self):
        print("\n== whole results", flush=True)
        rows = [self.whole_row(name, self.big[kind], [*arguments, "--cfg-scale", "1", "--sampler", "euler"], ending)
                for name, kind, arguments, ending in WHOLE if kind in self.big]
        for pack in self.packs:
            if not (pack / "unet").is_dir():  # its models are those of its base
                continue
            info = json.loads((pack / "sumi.json").read_text()) if (pack / "sumi.json").exists() else {}
            audio = info.get("modality") == "audio"
            rows.append(self.whole_row("5 s as the pack proposes" if audio else "as the pack proposes", pack,
                                       ["--duration", "5"] if audio else [], "ogg" if audio else "webp"))
        self.result["whole"] = rows

    def cold(self):
        """Twice with the same caches: sumi's programs and packed weights, and the driver's own. The largest pack comes
        last, and so the later parts find them full."""
        rows = []
        for pack in [*self.packs[:1], *([self.big["image"]] if self.big else [])]:
            print(f"\n== cold start ({pack})", flush=True)
            shutil.rmtree(CACHE, ignore_errors=True)
            row = {"pack": pack.name}
            for when in ("empty", "full"):
                make_caches()
                run = self.render(pack, ["--steps", "1", "--cfg-scale", "1", "--sampler", "euler"], "webp")
                first = run.stamps["step1"]
                row[when] = {"wall_seconds": first[0], "busy_seconds": self.busy(*first)}
            rows.append(row)
        self.result["cold_start"] = rows

    def peers(self):
        found = self.result["peers"] = []
        if self.big:
            sdcpp = peers.sdcpp(SUMI, self.big["image"], self.device, OUT)
            found += [sdcpp] if sdcpp else []
            words = os.environ.get("SUMI_BENCH_WORDS")
            found += peers.diffusers(OUT / "models", self.big["image"], self.device, OUT, None, *(["--words", words] if words else []))

    def text(self, name):
        print(f"\n== {name}", flush=True)
        self.result[name] = process.Run([OUT / name], echo=True).text.splitlines()

    def queue(self):
        self.text("queue")

    def storage(self):
        self.text("storage")


def main():
    os.chdir(packs.ROOT)
    make_caches()
    parts = os.environ.get("SUMI_BENCH_ONLY", " ".join(PARTS)).split()
    unknown = [p for p in parts if p not in PARTS]
    if unknown:
        sys.exit(f"SUMI_BENCH_ONLY: {' '.join(unknown)} is none of {' '.join(PARTS)}")
    bench, failures = Bench(), []
    place = Path(os.environ.get("SUMI_BENCH_OUT") or OUT / "bench.json")
    for part in parts:
        try:
            getattr(bench, part)()
        except (OSError, RuntimeError, ValueError, KeyError) as failure:
            failures.append(f"{part}: {failure}")
            print(failures[-1], file=sys.stderr)
        report.write_json(place, bench.result)  # a bench that is interrupted has been of use
    report.summary(bench.result)
    print(f"\n{place}")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
