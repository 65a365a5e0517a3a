"""The bench's tables, and what the machine is."""

import json
import os
import subprocess
import time
from pathlib import Path

from packs import ROOT, memory


def first_line(path, start, mark=":"):
    """What stands behind the mark in the first line of a file that begins so."""
    try:
        lines = Path(path).read_text().splitlines()
    except OSError:
        return ""
    return next((line.partition(mark)[2].strip(' "\t') for line in lines if line.startswith(start)), "")


def output(*command):
    try:
        return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def device(sumi):
    """Of those that sumi lists, the one to measure: selector, name, kind, compute_units, …"""
    listed = json.loads(output(str(sumi), "devices", "--json"))
    wanted = os.environ.get("SUMI_BENCH_DEVICE")
    if wanted:
        found = [d for d in listed if d["selector"] == wanted]
        if not found:
            raise SystemExit(f"SUMI_BENCH_DEVICE={wanted}: none of {' '.join(d['selector'] for d in listed)}")
        return found[0]
    return next((d for d in listed if d["kind"] == "gpu"), listed[0])


def rounded(value):
    """The same with numbers of five digits: a time has no more that mean something."""
    if isinstance(value, dict):
        return {k: rounded(v) for k, v in value.items()}
    if isinstance(value, list):
        return [rounded(v) for v in value]
    return float(f"{value:.5g}") if isinstance(value, float) else value


def write_json(path, value):
    Path(path).write_text(json.dumps(rounded(value), indent=1, ensure_ascii=False) + "\n")


def machine():
    flags = first_line("/proc/cpuinfo", "flags").split()
    return {"processor": first_line("/proc/cpuinfo", "model name"), "threads": os.cpu_count(),
            "vectors": [f for f in ("avx2", "fma", "f16c", "avx512f", "amx_tile", "neon", "asimd") if f in flags],
            "memory_mib": memory() >> 20, "kernel": os.uname().release,
            "system": first_line("/etc/os-release", "PRETTY_NAME", "=") or os.uname().sysname,
            "virtual": "hypervisor" in flags, "load": round(os.getloadavg()[0], 2),
            "date": time.strftime("%Y-%m-%dT%H:%MZ", time.gmtime()),
            "commit": output("git", "rev-parse", "--short", "HEAD")}


def table(title, heads, rows):
    """Prints rows of texts and numbers, aligned; nothing when there are none."""
    if not rows:
        return
    cells = [[c if isinstance(c, str) else number(c) for c in row] for row in rows]
    widths = [max(len(row[i]) for row in [heads, *cells]) for i in range(len(heads))]
    print(f"\n== {title}")
    for row in [heads, *cells]:
        print("  ".join(c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(row, widths))).rstrip())


def number(value):
    if value is None:
        return "-"
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.3f}"


def summary(result):
    """All tables of a result that run.py made."""
    whole = result.get("whole", [])
    table("whole results (processor time / units, wall clock)",
          ["", "busy s", "wall s", "a step, busy s", "peak RSS MiB"],
          [[w["name"], w["busy_seconds"], w["wall_seconds"], w["step_busy_seconds"], w["peak_resident_mib"]]
           for w in whole])
    table("from the start of the process to the first step",
          ["", "empty caches, wall s", "busy s", "full caches, wall s", "busy s"],
          [[c["pack"], c["empty"]["wall_seconds"], c["empty"]["busy_seconds"], c["full"]["wall_seconds"],
            c["full"]["busy_seconds"]] for c in result.get("cold_start", [])])
    for peer in result.get("peers", []):
        rows = [[phase, e["busy"]["sumi"], e["busy"]["peer"], f"{e['busy']['ratio']:.2f}x", e["wall"]["sumi"],
                 e["wall"]["peer"], f"{e['wall']['ratio']:.2f}x"]
                for phase, e in peer.items() if isinstance(e, dict) and "busy" in e]
        size = f" at {peer['size']}x{peer['size']}" if "size" in peer else ""
        table(f"{peer['program']} {peer.get('options', '')}{size}, turn by turn",
              ["", "sumi busy s", "peer", "ratio", "sumi wall s", "peer", "ratio"], rows)
        if "rss_mib" in peer:
            print("peak RSS MiB: " + ", ".join(f"{who} {size:.0f}" for who, size in peer["rss_mib"].items()))
