#!/usr/bin/env python3
"""No two files of a room call each other: what both need lies in a third. A table that names its rows calls nobody."""
import os, pathlib, shutil, subprocess, sys

ROOMS = ["base", "backends", "cli", "daemon", "diffusion", "gateway", "hub", "media", "modalities", "networks", "queue", "request",
         "storage", "weights"]

if not shutil.which("nm"):
    print("skip calls between files: nm not installed")
    sys.exit(0)
root = pathlib.Path(__file__).resolve().parents[2]
build = root / os.environ.get("BUILD", "build") / "obj"
failures = 0
for room in ROOMS:
    defined, wanted = {}, {}
    for source in sorted((root / room).rglob("*.c")):
        file = source.relative_to(root)
        object = build / file.with_suffix(".o")
        rows = subprocess.run(["nm", object], capture_output=True, text=True, check=True).stdout.splitlines()
        rows = [row.split() for row in rows]
        defined.update({row[2]: file for row in rows if len(row) == 3 and row[1] == "T"})
        wanted[file] = {row[1] for row in rows if len(row) == 2 and row[0] == "U"}
    calls = {(file, defined[name]): name for file, names in wanted.items() for name in names if name in defined}
    wrong = [f"{a} calls {calls[a, b]}(), {b} calls {calls[b, a]}()" for a, b in calls if a < b and (b, a) in calls]
    fine = bool(defined) and not wrong
    failures += not fine
    print(f"{'ok' if fine else 'not ok'} no two files of {room} call each other", *wrong, sep="\n  " if wrong else "")
sys.exit(failures > 0)
