#!/usr/bin/env python3
"""Packs as they lie about: bad ones never hide the good, no model is taken for another, no scheduler either."""
import json, os, shutil

from lib import *

SIZE = ["--width", 64, "--height", 64, "--steps", 2, "--seed", 1]


def make_packs(folder):
    """good; bad ones of several kinds; two whose schedulers are not as usual."""
    evil = folder / "red\x1b[31m\nred"
    shutil.copytree(PACKS / PACK, evil)
    (evil / "sumi.json").write_text(json.dumps({"name": "plain"}))
    for name in ["good", "piped", "cut", "half", "strange", "second-order"]:
        shutil.copytree(PACKS / PACK, folder / name)
        (folder / name / "sumi.json").write_text(json.dumps({"name": name}))
    (folder / "piped/sumi.json").unlink()
    os.mkfifo(folder / "piped/sumi.json")
    weights = folder / "cut/vae/diffusion_pytorch_model.safetensors"
    os.truncate(weights, weights.stat().st_size - 64)
    shutil.rmtree(folder / "half/vae")
    (folder / "half/model_index.json").unlink()
    for name, scheduler in [("strange", "SASolverScheduler"), ("second-order", "KDPM2DiscreteScheduler")]:
        path = folder / name / "scheduler/scheduler_config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "_class_name": scheduler}))


def unread(place):
    """Fields of sumi.json that nobody reads are named, once, wherever models are looked at."""
    folder = place.dir / "packs/typo"
    shutil.copytree(PACKS / PACK, folder)
    (folder / "sumi.json").write_text(json.dumps({"name": "typo", "defualts": {"steps": 3}, "foo\x1b": 1, "config": {"unet": {}},
                                                  "author": "me", "_mine": 1, "vae": "good/vae"}))
    told = "typo: sumi.json: 'defualts' (did you mean 'defaults'?), 'foo?', 'config' is not known: it has no effect"
    done = place.sumi("models")
    check(done.stderr.count(told) == 1 and done.stderr.count("has no effect") == 1, "sumi models names fields that nobody reads", done.stderr)
    done = place.sumi("models", "verify", "typo")
    check(told in done.stderr, "models verify too", done)
    rows = {row["name"]: row["unread"] for row in place.json("models") if "unread" in row}
    check("defualts" in rows["typo"] and rows["good"] is None, "and JSON", rows)
    shutil.rmtree(folder)


BAD = {"piped": "sumi.json: is not a regular file", "cut": "cut short",
       "half": "half a model pack, it lacks model_index.json, vae/config.json"}


def listings(place):
    done = place.sumi("models", timeout=30)
    check("good " in done.stdout and not any(f"/{n}\n" in done.stdout for n in BAD), "sumi models lists the good packs", done)
    for name, why in BAD.items():
        check(f"packs/{name}" in done.stderr and why in done.stderr, f"sumi models says what is wrong with {name}", done.stderr)
    check("strange: scheduler class 'SASolverScheduler' is not known: sampler euler is taken instead" in done.stderr and
          "second-order:" not in done.stderr, "and whose scheduler is not known", done.stderr)
    check("\x1b" not in done.stdout + done.stderr and "plain " in done.stdout and done.stdout.count("\n") ==
          len(place.json("models")), "no folder's name reaches the terminal as it is", done)
    rows = {row["name"]: row for row in place.json("models")}
    os.mkfifo(place.dir / "packs/styles.csv")
    done = place.sumi("render", "x", "--pack", PACKS / PACK, "--style", "any", "--steps", 1, "-o", "a.png", timeout=30)
    check(done.returncode == 2 and "styles.csv: is not a regular file" in done.stderr, "nor is a pipe of styles waited for", done)
    (place.dir / "packs/styles.csv").unlink()
    done = place.sumi("models", "add", "/dev/null", timeout=30)
    check(done.returncode == 2 and "neither a file nor a folder" in done.stderr, "what is neither file nor folder is no model", done)
    check("SASolver" in rows["strange"]["note"] and rows["second-order"]["note"] is None and
          rows["second-order"]["sampler"] == "dpm2", "in JSON too", rows)


def at_the_door(place):
    """What could not be used is not added, and no name is put in the place of another in silence."""
    whole = (PACKS / PACK / "unet/diffusion_pytorch_model.safetensors").read_bytes()
    tensors = lambda header: len(text := json.dumps(header).encode()).to_bytes(8, "little") + text
    odd = {"cut.safetensors": (whole[:len(whole) // 2], "it is cut short"), "head.safetensors": (whole[:200], "or cut short"),
           "empty.safetensors": (b"", "too few"), "tail.safetensors": (whole + b"more", "belong to no tensor"),
           "begun.gguf": (b"GGUF", "it is cut short"), "old.ckpt": (b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.", "pickle"),
           "zip.pt": (b"PK\x03\x04" + bytes(30), "it is cut short"), "none.safetensors": (tensors({}), "its 0 tensors"),
           "photos": (None, "holds no model: neither a model_index.json"),
           "other.safetensors": ((PACKS / "sd1-tiny.safetensors").read_bytes(), "of no model that is known")}
    place.sumi("models", "add", PACKS / PACK, "--name", "whole")
    before = sorted(os.listdir(place.state / "models"))
    for name, (data, why) in odd.items():
        (place.dir / name).mkdir() if data is None else (place.dir / name).write_bytes(data)
        done = place.sumi("models", "add", place.dir / name)
        check(done.returncode == 2 and why in done.stderr and done.stderr.count("\n") == 1, f"models add {name} is refused", done.stderr)
    for name in ("", "..", ".hid", "-x", "a/b", "a b", "a:b", "\u00e9", "\x1b[31m", "x" * 96):
        done = place.sumi("models", "add", PACKS / PACK, f"--name={name}")
        check(done.returncode == 2 and "--name" in done.stderr and "\x1b" not in done.stderr, f"a model called {name!r:.20}", done.stderr)
    done = place.sumi("models", "add", "", "--move")
    check(done.returncode == 2 and "name a file" in done.stderr and place.dir.exists(), "no name is not the present folder", done.stderr)
    done = place.sumi("models", "remove", "")
    check(done.returncode == 2 and "no name of a model" in done.stderr, "no name removes nothing", done.stderr)
    check(sorted(os.listdir(place.state / "models")) == before, "and nothing has come", os.listdir(place.state / "models"))
    place.sumi("models", "remove", "whole")
    (place.state / "models" / "moved").symlink_to(place.dir / "away")
    done = place.sumi("models")
    check("/moved: what it links to is not there" in done.stderr, "a link to nothing is named", done.stderr)
    done = place.sumi("models", "remove", "moved")
    check(done.returncode == 0 and "moved" not in place.sumi("models").stderr, "and can be removed", done.stderr)


def twice(place):
    """Two places that are one folder: what lies in it is there once, and nothing is beside itself."""
    rows = place.json("models")
    (place.dir / "link").symlink_to(place.dir / "packs")
    place.configure(packs=f"{place.dir}/packs:{place.dir}/packs/:{place.dir}/link")
    done = place.sumi("models")
    check("beside" not in done.stderr and len(place.json("models")) == len(rows), "a folder that is named three times", done.stderr)
    place.configure(packs=f"{place.dir}/packs:/nowhere/models")
    done = subprocess.run([BIN / "sumid", "--check"], env=place.env(), capture_output=True, text=True)
    check(done.returncode == 0 and "fine" in done.stdout and "/nowhere/models" in done.stderr and "packs/half" in done.stderr,
          "sumid --check names a place that is not there and packs that are left out", f"{done.returncode} {done.stderr}")
    place.configure(packs=place.dir / "packs")


def notes(place):
    for name in ["strange", "second-order", "good"]:
        out = f"{name}.webp"
        done = place.sumi("render", "fog", "--pack", place.dir / "packs" / name, "-o", out, *SIZE, "--device", "reference")
        told = place.json("show", out)
        check(done.returncode == 0 and ("SASolver" in done.stderr) == (name == "strange") and
              ("SASolver" in told["made_by"].get("note", "")) == (name == "strange"),
              f"render with {name}: a warning and a note in the file, or neither", f"{done} {told}")
    told = place.json("show", "second-order.webp")
    check(told["sampler"] == "dpm2" and "Sampler: DPM2," in told["infotext"], "KDPM2 is itself", told)


def defaults(place):
    """A default model that is not there: told by --check and the log, and no other one is taken."""
    place.configure(model_image="nobody")
    doctor = place.sumi("doctor").stdout
    check("broken   models   model_image = nobody" in doctor and "\x1b" not in doctor and "red?[31m red" in doctor,
          "sumi doctor names the setting", doctor)
    done = subprocess.run([BIN / "sumid", "--check"], env=place.env(), capture_output=True, text=True)
    check(done.returncode != 0 and "model_image = nobody" in done.stderr, "sumid --check names the setting", done)
    place.start()
    log = place.new_log().decode()
    check("model.default_missing" in log and "model_image = nobody" in log, "so does the log", log[-500:])
    check(all(f"packs/{name}" in log for name in BAD), "and each pack that is left out", log[-2000:])
    done = place.sumi("image", "fog", *SIZE)
    check(done.returncode == 3 and "model_image = nobody" in done.stderr, "sumi image refuses", done)
    done = place.sumi("image", "fog", *SIZE, "--model", "strange", "-o", "s.webp")
    check(done.returncode == 0 and "SASolverScheduler" in done.stderr, "sumi image tells of a scheduler that is not known", done)
    for id, model in [("none", []), ("good", ["model", "good"])]:
        place.redis_cli("XADD", "{sumi}:in", "*", "id", id, "modality", "image", "prompt", "fog", "steps", 2, "width", 64,
                        "height", 64, *model)
    state = lambda id: place.redis_cli("HGET", f"{{sumi}}:job:{id}", "state")
    check(wait_for(lambda: state("good") == "done"), "a job that names a model is made", state("good"))
    check(state("none") == "ready" and "image/" in place.sumi("status").stdout, "one that does not waits, and status says why",
          place.sumi("status").stdout)
    place.stop()
    place.configure(model_image="good")
    place.start()
    check(wait_for(lambda: state("none") == "done"), "until the setting is mended", state("none"))
    place.stop()


def cut_weights(parent):
    """Weights that are used in a mapped file, which is cut in the middle of a job: the worker lives, the job is made."""
    place = Place("cut", parent=parent, packs=ROOT / "models", model_image="ink", weight_cache_dir=parent / "weights")
    try:
        place.start()
        state = lambda id: place.redis_cli("HGET", f"{{sumi}}:job:{id}", "state")
        send = lambda id, steps: place.redis_cli("XADD", "{sumi}:in", "*", "id", id, "modality", "image", "prompt", "fog",
                                                 "seed", 5, "steps", steps, "width", 64, "height", 64)
        send("first", 400)
        check(wait_for(lambda: state("first") == "done", 120), "a picture with kept weights", state("first"))
        kept = list((parent / "weights").glob("*.packed"))
        if not kept:
            print("skip weights that are cut: no device here keeps packed weights")
            return
        workers = place.workers()
        send("second", 400)
        with place.still("second", 3):
            for path in kept:
                os.truncate(path, 8192)
        check(wait_for(lambda: state("second") in ("done", "failed"), 120) and state("second") == "done",
              "a job whose weights are cut is made", state("second"))
        log = place.log.read_text()
        check("was changed while it was read" in log and place.workers() == workers, "by the same worker, and the log says why",
              log[-1500:])
        shown = wait_for(lambda: (found := visible(place)).keys() >= {"first", "second"} and found, 90)
        check(shown and shown["first"] == shown["second"], "the same bytes as before", visible(place))
    finally:
        place.kill()


def main():
    place = Place(devices="reference")
    try:
        (place.dir / "packs").mkdir()
        make_packs(place.dir / "packs")
        place.configure(packs=place.dir / "packs", model_image="good")
        listings(place)
        unread(place)
        at_the_door(place)
        twice(place)
        notes(place)
        defaults(place)
        cut_weights(place.parent)
    finally:
        place.remove()
    finish()


main()
