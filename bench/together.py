#!/usr/bin/env python3
"""What jobs of several senders gain by making their steps together: two daemons, of which one takes them one after the
other, in turns. Processor time of the worker for each picture, from the claim of the first to the end of the last.

usage: together.py [--size N] [--steps N] [--jobs N] [--turns N]   (a pack of models/, by default its pictures' size)"""

import argparse
import json
import os
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import process

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(os.environ.get("BUILD", ROOT / "build")).absolute() / "bin"


class Daemon:
    def __init__(self, folder, batch):
        conf = folder / "sumi.conf"
        folder.mkdir()
        conf.write_text(f"packs = {ROOT / 'models'}\nstate_dir = {folder / 'state'}\nreserve = 1M\nreuse = 0\n"
                        f"preview = 0\nbatch = {batch}\n")
        self.env = {**process.environment(), "SUMI_CONFIG": str(conf)}
        with open(folder / "log", "w") as log:
            self.process = subprocess.Popen([BIN / "sumid"], env=self.env, stdout=log, stderr=log)
        while not self.workers():
            if self.process.poll() is not None:
                raise RuntimeError((folder / "log").read_text()[-2000:])
            time.sleep(0.1)
        self.pid = self.workers()[0]["pid"]

    def sumi(self, *arguments):
        return subprocess.run([BIN / "sumi", *map(str, arguments)], env=self.env, capture_output=True, text=True)

    def workers(self):
        done = self.sumi("status", "--json")
        return json.loads(done.stdout).get("workers") if done.returncode == 0 else None

    def turn(self, options, turn):
        """Processor seconds of one picture."""
        self.sumi("pause")
        ids = [self.sumi("image", f"birches in fog, {i}", "--detach", "--seed", turn * options.jobs + i, "--steps",
                         options.steps, "--width", options.size, "--height", options.size, "--submitter",
                         f"sender{i}").stdout.strip() for i in range(options.jobs)]
        while json.loads(self.sumi("status", "--json").stdout)["states"]["ready"] < len(ids):
            time.sleep(0.05)
        before = process.processor_seconds(self.pid)
        self.sumi("resume")
        for id in ids:
            if self.sumi("wait", id).returncode:
                raise RuntimeError(f"job {id} has failed")
        return (process.processor_seconds(self.pid) - before) / len(ids)

    def stop(self):
        self.process.terminate()
        self.process.wait()


def main():
    parser = argparse.ArgumentParser()
    for name, value in (("size", 128), ("steps", 20), ("jobs", 4), ("turns", 5)):
        parser.add_argument(f"--{name}", type=int, default=value)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sumi-bench-") as folder:
        daemons = [Daemon(Path(folder) / f"batch{n}", n) for n in (1, options.jobs)]
        try:
            for d in daemons:  # kernels, weights, the first touch of everything
                d.turn(options, 0)
            pairs = [[d.turn(options, turn) for d in daemons] for turn in range(1, options.turns + 1)]
        finally:
            for d in daemons:
                d.stop()
    ratios = sorted(alone / together for alone, together in pairs)
    for alone, together in pairs:
        print(f"alone {alone:.3f} s   together {together:.3f} s   ratio {alone / together:.2f}")
    print(f"median of {len(ratios)}: {statistics.median(ratios):.2f} (from {ratios[0]:.2f} to {ratios[-1]:.2f})")


main()
