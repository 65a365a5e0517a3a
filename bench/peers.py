#!/usr/bin/env python3
"""Other programs with the same weights, turn by turn with sumi in one run: the ratio of each pair, not two times of
different hours. `make bench` calls it for Stable Diffusion 1.5; by itself:

    make benches && SDCPP=…/sd-cli python3 bench/peers.py --model sdxl [--size 1024]… [--engine openvino]… [--turns N]
                                                          [--words step,decode] [--json FILE]

--model: sd15, sd21 or sdxl of random weights (made once, under build/bench), or the folder of a pack. OpenVINO with its
defaults where the Python has it, stable-diffusion.cpp where SDCPP names it; SUMI_BENCH_PRECISION: exact, half or int8."""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from statistics import median

import packs
import process
import report
from packs import ROOT, python

PROMPT = "mountains in fog"
SDCPP_MARKS = [("step", r"(?<!\d)(\d+)/\d+ - [\d.]+(?:s/it|it/s)"),
               ("decoded", r"decode_first_stage completed|latent 1 decoded")]
SUMI_MARKS = [("step", r"step (\d+)/")]


def turns():
    return int(os.environ.get("SUMI_BENCH_TURNS", "2"))


def phases(run, steps, decoded):
    """What both programs are compared by; each (wall, cpu)."""
    return {"step": run.between(f"step{steps - 1}", f"step{steps}"), "decode": run.between(f"step{steps}", decoded),
            "whole": (run.wall, run.cpu), "rss_mib": run.rss}


def sumi_turn(sumi, pack, device, steps, out, size=512):
    command = [sumi, "render", PROMPT, "-p", pack, "-d", device["selector"], "-o", out / "turn.png", "--width", str(size),
               "--height", str(size), "--sampler", "euler", "--steps", str(steps), "--cfg-scale", "1", "--seed", "1",
               "--precision", os.environ.get("SUMI_BENCH_PRECISION", "exact")]
    run = process.Run(command, SUMI_MARKS, terminal=True)
    return phases(run, steps, "end")  # writing the file is counted as decoding


def sdcpp_turn(way, pack, steps, out, size=512):
    program, *options = way
    run = process.Run([program, "-m", pack, "-p", PROMPT, "-o", out / "sdcpp.png", "-W", str(size), "-H", str(size),
                       "--sampling-method", "euler", "--steps", str(steps), "--cfg-scale", "1", "-s", "1", *options],
                      SDCPP_MARKS)
    return phases(run, steps, "decoded")


def sdcpp_ways():
    """Its builds with what each may be told: SDCPP names one or several, SDCPP_OPTIONS and SDCPP_THREADS settle the rest."""
    threads = os.environ.get("SDCPP_THREADS") or str(os.cpu_count())
    told = os.environ.get("SDCPP_OPTIONS")
    flags = [told.split()] if told is not None else [[], ["--diffusion-fa"]]
    return [(program, "-t", threads, *more) for program in os.environ["SDCPP"].split(":") for more in flags]


def sdcpp_best(pack, out):
    """The fastest of its ways by processor time, in a picture of a quarter of the size: one step of two."""
    ways = sdcpp_ways()
    if len(ways) == 1:
        return ways[0]
    took = {}
    for way in ways:
        step = sdcpp_turn(way, pack, 2, out, 256)["step"]
        took[way] = step[1] if step else float("inf")
        print(f"stable-diffusion.cpp: {' '.join(map(str, way))}: {took[way]:.2f} s of processor time a step at 256×256",
              flush=True)
    return min(took, key=took.get)


def compare(rows, units):
    """{step: {sumi, peer: best seconds by wall and busy time, ratio: medians of the pairs}} of [(sumi, peer)]."""
    result = {}
    for phase in ("step", "decode", "encode", "text", "whole"):
        pairs = [(a[phase], b[phase]) for a, b in rows if a.get(phase) and b.get(phase)]
        if not pairs:
            continue
        entry = {"turns": len(pairs)}
        for place, clock in enumerate(("wall", "busy")):
            share = units if clock == "busy" else 1
            entry[clock] = {"sumi": min(a[place] for a, _ in pairs) / share,
                            "peer": min(b[place] for _, b in pairs) / share,
                            "ratio": median(b[place] / a[place] for a, b in pairs)}
        result[phase] = entry
    for who, index in (("sumi", 0), ("peer", 1)):
        sizes = [row[index]["rss_mib"] for row in rows if row[index].get("rss_mib")]
        if sizes:
            result.setdefault("rss_mib", {})[who] = max(sizes)
    return result


def sdcpp(sumi, pack, device, out, size=512):
    """None without SDCPP. On a GPU only its ratios of wall time mean something."""
    if not os.environ.get("SDCPP"):
        return None
    way, steps, rows = sdcpp_best(pack, out), 2, []
    for turn in range(turns()):
        print(f"stable-diffusion.cpp: turn {turn + 1} of {turns()}", flush=True)
        rows.append((sumi_turn(sumi, pack, device, steps, out, size), sdcpp_turn(way, pack, steps, out, size)))
    missing = [k for k in ("step", "decode") if not rows[0][1][k]]
    if missing:
        print(f"{way[0]} says nothing of its {' and '.join(missing)}: its messages changed", file=sys.stderr)
    return {"program": "stable-diffusion.cpp", "options": " ".join([os.path.basename(way[0]), *way[1:]]), "size": size,
            **compare(rows, device["compute_units"])}


def diffusers(models, pack, device, out, wanted=None, *options):
    """[results] of tools/bench_diffusers.py by these engines, else by those of DIFFUSERS; empty without. RuntimeError when it
    was asked for and failed."""
    wanted = wanted or os.environ.get("DIFFUSERS")
    if not wanted or wanted == "0":
        return []
    place = out / "diffusers.json"
    command = [python(), str(ROOT / "tools/bench_diffusers.py"), str(pack), "--sumi", str(models), "--json", str(place),
               "--turns", str(turns()), "--units", str(device["compute_units"]), "--device", device["selector"]]
    for engine in (wanted if wanted != "1" else "torch").split(","):
        command += ["--engine", engine]
    command += options
    failed = subprocess.run(command, env=process.environment()).returncode
    if failed:
        raise RuntimeError(f"{' '.join(command)}: exit {failed}")
    return json.loads(place.read_text())


def main():
    out = ROOT / "build/bench"
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="sd15", metavar="NAME|FOLDER")
    parser.add_argument("--size", type=int, action="append")
    parser.add_argument("--engine", action="append", help="of tools/bench_diffusers.py; none: without it")
    parser.add_argument("--words", default="step,decode")
    parser.add_argument("--turns", type=int, default=2)
    parser.add_argument("--json", type=Path, default=out / "peers.json")
    args = parser.parse_args()
    os.environ["SUMI_BENCH_TURNS"] = str(args.turns)
    pack = Path(args.model) if "/" in args.model else out / args.model
    if not (pack / "model_index.json").exists() and ("/" in args.model or not packs.make(pack, arch=args.model)):
        raise SystemExit(f"{pack}: no pack")
    sumi, results = ROOT / "build/bin/sumi", []
    device = report.device(sumi)
    engines = [e for e in args.engine or ["openvino"] if e != "none"]
    for size in args.size or [1024 if args.model == "sdxl" else 512]:
        if engines:
            results += diffusers(out / "models", pack, device, out, ",".join(engines), "--size", str(size), "--words", args.words)
        found = sdcpp(sumi, pack, device, out, size)
        if found:
            results.append(found)
            report.summary({"peers": [found]})
    if not os.environ.get("SDCPP"):
        print("without stable-diffusion.cpp: SDCPP names none", file=sys.stderr)
    report.write_json(args.json, {"machine": report.machine(), "device": device, "model": str(pack), "peers": results})
    print(args.json)


if __name__ == "__main__":
    main()
