#!/usr/bin/env python3
"""The bench's programs take the options that they say they take, and what comes out has the fields that docs/performance.md names. No time
is looked at: nearly all of it runs on the scalar device, with a pack as small as they come."""
import json, os, pathlib, shutil, subprocess, sys, tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("BUILD", "build"))
BUILD = BUILD if BUILD.is_absolute() else ROOT / BUILD
VECTORS = ROOT / "tests/vectors"
failed = 0


def check(condition, name, detail=""):
    global failed
    failed += not condition
    print(f"ok bench {name}" if condition else f"not ok bench {name}: {detail}")


def run(*command, say="", **more):
    return subprocess.run([str(c) for c in command], input=say, capture_output=True, text=True, cwd=ROOT, timeout=240,
                          env={**os.environ, **{k: str(v) for k, v in more.items()}})


def lacks(row, fields):
    return [f for f in fields.split() if f not in row]


def models(temporary):
    program, place = BUILD / "bench/models", temporary / "models.json"
    small = ["--device", "reference", "--size", "32x32"]
    out = run(program, VECTORS / "sd1-tiny", *small, "--repeat", 1, "--batch", 2, "--json", place)
    row = json.loads(place.read_text()) if out.returncode == 0 else {}
    missing = lacks(row, "pack device precision width height batch frames peak_resident_mib models") or lacks(
        row["models"][1], "name load_wall_seconds load_busy_seconds first_wall_seconds wall_seconds busy_seconds resident_mib device_mib "
                          "planned_mib operations") or lacks(row["models"][1]["operations"][0], "kind calls busy_seconds share gmac gflops")
    check(not missing and row["batch"] == 2 and len(row["models"]) == 4, "models of a pack", out.stderr or missing)
    out = run(program, VECTORS / "motion-tiny", *small, "--repeat", 1, "--frames", 4, "--only", "step", "--json", place)
    row = json.loads(place.read_text())
    check(out.returncode == 0 and row["frames"] == 4 and [m["name"] for m in row["models"]] == ["UNet step"], "one model of frames",
          out.stderr or row)
    out = run(program, VECTORS / "sd1-tiny", *small, "--weights", temporary / "weights", "--serve", "yes", say="step\ntext\ndecode\nencode\n")
    check(out.returncode == 0 and [len(line.split()) for line in out.stdout.splitlines()] == [2] * 4, "models that are asked", out.stderr)
    out = run(program, VECTORS / "sd1-tiny", *small, "--serve", "yes", say="stop\n")
    check(out.returncode == 1 and "'stop' is none of" in out.stderr, "a word that is none", out.stderr)
    for options, words in ((["--precision", "half"], "computes exactly only"), (["--precision", "double"], "double")):
        out = run(program, VECTORS / "sd1-tiny", *small, *options)
        check(out.returncode == 1 and words in out.stderr, " ".join(options), out.stderr)
    for name in ("models", "ops", "loras"):
        out = run(BUILD / "bench" / name, VECTORS / "sd1-tiny", "--speed", "high")
        check(out.returncode == 2 and out.stderr.startswith(f"usage: {name} "), f"{name}: an option that is none", out.stderr)


def operations(temporary):
    place = temporary / "ops.json"
    devices = json.loads(run(BUILD / "bin/sumi", "devices", "--json").stdout or "[]")
    if not any(d["selector"] == "opencl:0" for d in devices):
        print("skip bench operations: there is no OpenCL device")
        return
    out = run(BUILD / "bench/ops", "--device", "opencl:0", "--seconds", 0.001, "--only", "layer_norm 16x16", "--precision", "exact",
              "--weight", "f16", "--dtype", "f32", "--json", place)
    row = json.loads(place.read_text()) if out.returncode == 0 else {}
    check(out.returncode == 0 and not lacks(row, "device activations precision peak_gflops peak_gbytes operations") and row["operations"] and
          not lacks(row["operations"][0], "name wall_seconds busy_seconds unit rate peak share"), "operations", out.stderr or row)


def whole(temporary):
    """run.py with a build folder of its own, in which its caches and files lie."""
    for name in ("bin", "bench"):
        (temporary / "build" / name).mkdir(parents=True)
    (temporary / "build/bin/sumi").symlink_to(BUILD / "bin/sumi")
    (temporary / "build/bench/models").symlink_to(BUILD / "bench/models")
    pack = temporary / "small"
    shutil.copytree(VECTORS / "sd1-tiny", pack)
    (pack / "sumi.json").write_text('{"modality": "image", "defaults": {"width": 64, "height": 64, "steps": 2}}')
    own = {"BUILD": temporary / "build", "SUMI_BENCH_DEVICE": "reference", "SUMI_BENCH_BIG": 0, "SUMI_BENCH_PACKS": pack,
           "SUMI_BENCH_OUT": temporary / "bench.json", "XDG_STATE_HOME": temporary / "state"}
    out = run(sys.executable, "bench/run.py", SUMI_BENCH_ONLY="models cold whole peers", **own)
    row = json.loads((temporary / "bench.json").read_text()) if out.returncode == 0 else {}
    missing = lacks(row, "schema machine device models cold_start whole peers") or lacks(
        row["machine"], "processor threads vectors memory_mib kernel system virtual load date commit") or lacks(
        row["cold_start"][0], "pack empty full") or lacks(
        row["whole"][0], "name wall_seconds busy_seconds step_wall_seconds step_busy_seconds peak_resident_mib")
    check(out.returncode == 0 and not missing, "parts of the whole", out.stderr or missing)
    out = run(sys.executable, "bench/run.py", SUMI_BENCH_ONLY="models colt", **own)
    check(out.returncode == 1 and "SUMI_BENCH_ONLY: colt is none of" in out.stderr, "a part that is none", out.stderr)
    out = run(sys.executable, "bench/peers.py", "--help")
    check(out.returncode == 0 and not lacks(out.stdout, "--model --size --engine --words --turns --json"), "peers' options", out.stderr)
    out = run(sys.executable, "bench/peers.py", "--model", temporary / "none", **own)
    check(out.returncode == 1 and "no pack" in out.stderr, "peers of a pack that is not there", out.stderr)


if not (BUILD / "bench/models").exists():
    print("skip bench: its programs are not built (make benches)")
    sys.exit(0)
with tempfile.TemporaryDirectory(prefix="sumi-bench-") as folder:
    os.environ["SUMI_CACHE_DIR"] = folder + "/cache"
    for part in (models, operations, whole):
        part(pathlib.Path(folder))
sys.exit(1 if failed else 0)
