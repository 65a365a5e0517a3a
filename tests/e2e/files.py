#!/usr/bin/env python3
"""Files: what they say of their making, drafts and their pictures, and where results go."""
import json, os, shutil

from lib import *

SIZE = ["--width", 64, "--height", 64]


def pack_with_draft(place):
    """sd1-tiny with settings of its own, and others for its distilled model."""
    at = place.dir / "packs" / "two-ways"
    shutil.copytree(PACKS / PACK, at)
    (at / "sumi.json").write_text(json.dumps({
        "modality": "image", "name": "two-ways",
        "defaults": {"steps": 5, "cfg_scale": 4.5, "sampler": "ddim", "width": 64, "height": 64},
        "fast": {"unet": "unet", "steps": 2, "cfg_scale": 1, "sampler": "lcm"}}))


def again(place, *args):
    """The file that is made, as `sumi show` tells of it, and what stood on stderr."""
    done = place.sumi("again", *args, "-o", "made.webp")
    if done.returncode:
        return {"exit": done.returncode}, done.stderr
    return place.json("show", "made.webp"), done.stderr


def drafts(place):
    ask = ["fog over a lake", "--seed", 7, "--model", "two-ways"]
    for name, more in [("draft", ["--fast"]), ("whole", []), ("draft8", ["--fast", "--steps", 3, "--sampler", "euler"])]:
        done = place.sumi("image", *ask, *more, "-o", f"{name}.webp")
        check(done.returncode == 0, f"{name} is made", done.stderr)
    whole = (place.dir / "whole.webp").read_bytes()
    check(whole != (place.dir / "draft.webp").read_bytes(), "a draft is another file than the whole")
    for name in ["draft", "draft8"]:
        for full in [["--full"], ["--no-fast"], ["--fast=false"], ["--fast", "false"]]:
            told, error = again(place, f"{name}.webp", *full)
            check((place.dir / "made.webp").read_bytes() == whole, f"again {name} {full}: the whole picture's bytes",
                  f"{told} {error}")
    told, error = again(place, "draft.webp", "--full", "--steps", 3)
    check((told["steps"], told["sampler"], told["cfg_scale"], "fast" in told) == (3, "ddim", 4.5, False),
          "what the command line says wins over the pack's own", f"{told} {error}")
    told, error = again(place, "whole.webp", "--fast")
    check((place.dir / "made.webp").read_bytes() == (place.dir / "draft.webp").read_bytes(),
          "and from a picture to its draft", f"{told} {error}")
    told, error = again(place, "draft.webp", "--steps", 3)
    check(told.get("fast") is True and told["steps"] == 3 and "--full" in error,
          "--steps alone keeps the distilled model and says so", f"{told} {error}")
    told, error = again(place, "draft.webp", "--full", "--fast")
    check(told == {"exit": 2} and "--full" in error and "--fast" in error, "--full --fast is refused", error)
    told, error = again(place, "draft.webp")
    check((place.dir / "made.webp").read_bytes() == (place.dir / "draft.webp").read_bytes() and not error.count("note"),
          "again without options: the same bytes, no remarks", error)


def strip_xmp(path, to):
    """The file as a program leaves it that keeps EXIF alone."""
    data = path.read_bytes()
    out, at = b"", 12
    while at < len(data):
        size = int.from_bytes(data[at + 4:at + 8], "little")
        if data[at:at + 4] != b"XMP ":
            out += data[at:at + 8 + size + size % 2]
        at += 8 + size + size % 2
    to.write_bytes(b"RIFF" + (4 + len(out)).to_bytes(4, "little") + b"WEBP" + out)


def told_of_files(place):
    told = place.json("show", "draft.webp")
    check(told["source"] == "sumi" and told["prompt"] == "fog over a lake" and told["seed"] == 7 and
          told["fast"] is True and told["made_by"]["software"] == "sumi" and told["infotext"].startswith("fog"),
          "show FILE has all that again uses", str(told))
    with open(place.dir / "draft.webp", "rb") as f:
        piped = subprocess.run([BIN / "sumi", "show", "-", "--json"], env=place.env(), stdin=f, capture_output=True)
    check(piped.returncode == 0 and {**json.loads(piped.stdout), "file": "draft.webp"} == told, "show of standard input", str(piped))
    done = place.sumi("show", "draft.webp")
    check(done.returncode == 0 and all(w in done.stdout for w in ["fog over a lake", "two-ways", "steps"]),
          "show FILE for people", done.stdout + done.stderr)
    strip_xmp(place.dir / "draft.webp", place.dir / "bare.webp")
    told = place.json("show", "bare.webp")
    check((told["source"], told["prompt"], told["seed"], told["steps"], told["width"], told["model"], told["rng"],
           told["modality"]) == ("infotext", "fog over a lake", 7, 2, 64, "two-ways", "torch", "image"),
          "of a file without sumi's metadata, what its infotext says", str(told))
    told, error = again(place, "bare.webp", "--full")
    check((place.dir / "made.webp").read_bytes() == (place.dir / "whole.webp").read_bytes() and "infotext" in error,
          "again --full from the infotext alone", f"{told} {error}")
    words = ("a (red:1.2) apple\nNegative prompt: blur\nSteps: 3, Sampler: DPM++ 2M Karras, CFG scale: 7, Seed: 5, "
             "Size: 64x64, Model hash: 0123456789, Model: two-ways, Face restoration: GFPGAN, Tiling: True, Clip skip: 1, "
             "Version: v1.10.1")
    png(place.dir / "other.png", words)
    told = place.json("show", "other.png")
    check((told["sampler"], told["scheduler"], told["negative_prompt"], told["clip_skip"], told["rng"],
           told["format"], told["tile"], told["unknown"]) ==
          ("dpmpp_2m", "karras", "blur", 0, "philox", "png", "both", {"Face restoration": "GFPGAN"}),
          "of another program's PNG", str(told))
    done = place.sumi("again", "other.png", "-o", "other-made.png")
    check(done.returncode == 0 and "Face restoration" in done.stderr and
          (place.dir / "other-made.png").read_bytes()[:4] == b"\x89PNG", "again of it says what is not taken",
          done.stderr)
    (place.dir / "plain.txt").write_text("no picture")
    for name, code in [("plain.txt", 2), ("nowhere/x.webp", 2)]:
        done = place.sumi("show", name)
        check(done.returncode in (code, 1, 3) and name in done.stderr and done.stderr.count("\n") == 1,
              f"show {name}: one line", done.stderr)


def foreign(place):
    """A picture of ComfyUI, its graph behind the pixels."""
    graph = {"1": {"class_type": "KSampler", "inputs": {
                 "seed": 9, "steps": 2, "cfg": 3.5, "sampler_name": "euler_ancestral", "scheduler": "karras", "denoise": 1.0,
                 "latent_image": ["4", 0], "positive": ["2", 0], "negative": ["3", 0]}, "is_changed": [float("nan")]},
             "2": {"class_type": "CLIPTextEncode", "inputs": {"text": "a red boat"}},
             "3": {"class_type": "CLIPTextEncode", "inputs": {"text": "fog"}},
             "4": {"class_type": "EmptyLatentImage", "inputs": {"width": 64, "height": 96, "batch_size": 1}},
             "5": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "xl/no-such.safetensors"}}}
    png(place.dir / "comfy.png", json.dumps(graph), key="prompt", behind=True)
    told = place.json("show", place.dir / "comfy.png")
    check((told["source"], told["program"], told["prompt"], told["negative_prompt"], told["seed"], told["steps"], told["sampler"],
           told["scheduler"], told["height"], told["model"], told["rng"]) ==
          ("json", "ComfyUI", "a red boat", "fog", 9, 2, "euler_a", "karras", 96, "no-such", "torch"),
          "a graph behind the pixels", str(told))
    check(told["comfy"]["samplers"][0]["class"] == "KSampler" and "1" in told["json"]["prompt"], "and as it stands there", str(told))
    done = place.sumi("again", "comfy.png", "-q")
    check(done.returncode != 0 and "no-such" in done.stderr and PACK in done.stderr, "again needs its model", done.stderr)
    done = place.sumi("again", "comfy.png", "--model", PACK, "-o", "again.png")
    made = place.json("show", place.dir / "again.png") if done.returncode == 0 else {}
    check((made.get("prompt"), made.get("seed"), made.get("height"), made.get("sampler")) == ("a red boat", 9, 96, "euler_a"),
          "again from a graph", done.stderr + str(made))
    check("ComfyUI" in done.stderr, "and says what it went by", done.stderr)
    graph["1"]["inputs"]["model"] = ["6", 0]
    graph["6"] = {"class_type": "LoraLoader", "inputs": {"lora_name": "styles\\none.safetensors", "strength_model": 0.5, "model": ["5", 0]}}
    png(place.dir / "lora.png", json.dumps(graph), key="prompt")
    done = place.sumi("again", "lora.png", "--model", PACK, "-o", "again.png")
    check(done.returncode == 0 and "made with the LoRA styles" in done.stderr and "(0.5), which is not here" in done.stderr,
          "and which LoRA is left out", done.stderr)


def png(path, text, key="parameters", behind=False):
    """One grey pixel with a text chunk, A1111's if nothing else is said."""
    import struct, zlib
    chunk = lambda kind, data: struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)) +
                     b"".join(chunk(b"tEXt", key.encode() + b"\0" + text.encode("latin-1")) if is_text else
                              chunk(b"IDAT", zlib.compress(b"\0\x80")) for is_text in (not behind, behind)) + chunk(b"IEND", b""))


def sent(place):
    return place.json("status")["total_submitted"] if "total_submitted" in place.json("status") else \
        int(place.redis_cli("HGET", "{sumi}:counters", "submitted") or 0)


def bytes_of(place, *args, **more):
    return subprocess.run([BIN / "sumi", *map(str, args)], env=place.env(), cwd=place.dir, capture_output=True, **more)


def outputs(place):
    quick = [*SIZE, "--steps", 1, "--seed", 3, "--model", PACK]
    before = sent(place)
    clip, film = ["--duration", 1, "--model", "sound-tiny"], [*SIZE, "--steps", 1, "--model", "motion-tiny", "--frames", 3]
    for words, text in [
            (["image", "ink", *quick, "-o", "x.png", "--format", "webp"], "contradict"),
            (["image", "ink", *quick, "-o", "x.gif"], ".webp, .png"),
            (["image", "ink", *quick, "-o", "x.jpg", "--format", "webp"], "contradict"),
            (["image", "ink", *quick, "-o", "x.ogg"], ".webp, .png"),
            (["audio", "ink", *clip, "-o", "x.aac"], ".ogg, .wav, .mp3"),
            (["audio", "ink", *clip, "-o", "x.webp"], ".ogg, .wav"),
            (["video", "ink", *film, "-o", "x.webp", "--format", "png"], "contradict"),
            (["video", "ink", *film, "-o", "x.mp4"], ".webp, .png"),
            (["render", "ink", *quick, "-o", "x.png", "--format", "webp"], "contradict"),
            (["render", "ink", *quick, "-o", "x.gif"], ".webp, .png"),
            (["render", "ink", *quick, "-o", "./"], "folder"),
            (["again", "draft.webp", "-o", "x.png", "--format", "webp"], "contradict"),
            (["again", "draft.webp", "-o", "x.tiff"], ".webp, .png"),
            (["image", "ink", *quick, "--detach", "-o", "x.webp"], "sumi fetch"),
            (["again", "draft.webp", "--detach", "-o", "x.webp"], "sumi fetch"),
            (["image", "ink", *quick, "-o", "-", "--json"], "--json"),
            (["image", "ink", *quick, "-o", "-", "-n", 2], "folder"),
            (["render", "ink", *quick, "-o", "-", "-n", 2], "folder"),
            (["video", "ink", *film, "-o", "-", "--format", "png"], "frame")]:
        done = place.sumi(*words)
        check(done.returncode == 2 and text in done.stderr + done.stdout and done.stderr.count("\n") == 1,
              "refused: " + " ".join(map(str, words[:1] + words[-4:])), f"{done.returncode} {done.stderr}")
    check(sent(place) == before and not list(place.dir.glob("x.*")) and not (place.dir / "-").exists(),
          "nothing was sent and nothing written for any of them")
    done = place.sumi("image", "ink", *quick, "-o", "X.PNG")
    check(done.returncode == 0 and (place.dir / "X.PNG").read_bytes()[:4] == b"\x89PNG", "X.PNG is PNG", done.stderr)
    done = place.sumi("again", "draft.webp", "-o", "draft.png")
    check(done.returncode == 0 and (place.dir / "draft.png").read_bytes()[:4] == b"\x89PNG",
          "again into another format: by the suffix", done.stderr)
    made = {}
    for verb in ["image", "render"]:
        place.sumi(verb, "ink", *quick, "-o", f"{verb}.webp")
        done = bytes_of(place, verb, "ink", *quick, "-o", "-")
        check(done.returncode == 0 and done.stdout == (place.dir / f"{verb}.webp").read_bytes(),
              f"{verb} -o -: the bytes and nothing else on standard output", done.stderr.decode())
        place.sumi(verb, "ink", *quick, "-n", 2, "-o", f"two-{verb}.webp")
        made[verb] = sorted(p.name.replace(verb, "") for p in place.dir.glob(f"two-{verb}*"))
    check(made["image"] == made["render"] == ["two--2.webp", "two-.webp"], "variants have the same names from both", str(made))
    id = place.sumi("image", "ink", *quick, "--detach").stdout.strip()
    place.sumi("wait", id)
    done = bytes_of(place, "fetch", id, "-o", "-")
    check(done.stdout == (place.dir / "image.webp").read_bytes(), "fetch -o -", done.stderr.decode())
    done = bytes_of(place, "again", "image.webp", "-o", "-")
    check(done.stdout == (place.dir / "image.webp").read_bytes(), "again -o -", done.stderr.decode())
    done = place.sumi("fetch", id, "-o", "x.png")
    check(done.returncode == 2 and ".webp" in done.stderr and not (place.dir / "x.png").exists(),
          "fetch into a name of another format is refused", done.stderr)
    check(place.sumi("fetch", id, id, "-o", "-").returncode == 2, "two jobs do not fit into standard output")
    far, near = os.openpty()
    for words in [["image", "ink", *quick], ["fetch", id], ["render", "ink", *quick], ["again", "image.webp"]]:
        done = subprocess.run([BIN / "sumi", *map(str, words), "-o", "-"], env=place.env(), cwd=place.dir, stdout=near,
                              stderr=subprocess.PIPE, text=True)
        check(done.returncode == 2 and "terminal" in done.stderr, f"{words[0]} -o - to a terminal is refused", done.stderr)
    os.close(near), os.close(far)


def names_of_frames(place):
    film = [*SIZE, "--steps", 1, "--model", "motion-tiny", "--frames", 3, "--format", "png", "--seed", 1]
    for verb in ["video", "render"]:
        done = place.sumi(verb, "ink", *film, "-o", f"{verb}.png")
        files = sorted(p.name for p in place.dir.glob(f"{verb}*.png"))
        check(files == [f"{verb}-frame-{k}.png" for k in (1, 2, 3)], f"{verb}: frames have one kind of name",
              f"{files} {done.stderr}")
    clip = ["--duration", 1, "--model", "sound-tiny", "--seed", 1, "--steps", 1]
    for verb in ["audio", "render"]:
        done = place.sumi(verb, "ink", *clip, "-o", f"{verb}.ogg")
        files = sorted(p.name for p in place.dir.glob(f"{verb}*") if p.suffix in (".ogg", ".webp"))
        check({f"{verb}.ogg", f"{verb}-spectrogram.webp"} <= set(files), f"{verb}: a clip and its spectrogram",
              f"{files} {done.stderr}")
    for name, modality in [("audio.ogg", "audio"), ("audio-spectrogram.webp", "audio"), ("video-frame-2.png", "video")]:
        told = place.json("show", name)
        check(told["modality"] == modality and told["source"] == "sumi" and told["seed"] == 1, f"show {name}", str(told))


def closed_pipes(place):
    for words in [["render", "ink", *SIZE, "--steps", 1, "--pack", PACKS / PACK], ["again", "draft.webp"]]:
        far, near = os.pipe()
        os.close(far)
        done = subprocess.run([BIN / "sumi", *map(str, words), "-o", "-", "-q"], env=place.env(), cwd=place.dir, stdout=near,
                              stderr=subprocess.PIPE)
        os.close(near)
        check(done.returncode in (141, -13) and done.stderr == b"", f"{words[0]} -o - into a closed pipe ends quietly",
              f"{done.returncode} {done.stderr}")


def screen(data):
    """The lines that a terminal shows of it."""
    lines, now, at = [], "", 0
    text = data.decode(errors="replace")
    while text:
        if text.startswith("\x1b[K"):
            now, text = now[:at], text[3:]
            continue
        c, text = text[0], text[1:]
        if c == "\n":
            lines, now, at = lines + [now], "", 0
        elif c == "\r":
            at = 0
        else:
            now, at = now[:at] + c + now[at + 1:], at + 1
    return lines + [now]


def one_terminal(place):
    """Daemon and client on the same terminal: log lines and progress bars share no line."""
    import fcntl, struct, termios, threading
    place.stop()
    far, near = os.openpty()
    fcntl.ioctl(near, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 60, 0, 0))
    heard = bytearray()

    def read():
        with contextlib.suppress(OSError):
            while data := os.read(far, 65536):
                heard.extend(data)
    threading.Thread(target=read, daemon=True).start()
    daemon = subprocess.Popen([BIN / "sumid"], env=place.env(TERM="xterm"), stderr=near, stdin=subprocess.DEVNULL,
                              cwd=place.dir, start_new_session=True)
    try:
        wait_for(lambda: b"worker.ready" in heard, 60)
        for k in range(2):
            subprocess.run([BIN / "sumi", "image", f"bar {k}", *map(str, SIZE), "--steps", "30", "--model", PACK, "-o",
                            "bar.webp"], env=place.env(TERM="xterm"), stderr=near, stdout=subprocess.DEVNULL,
                           cwd=place.dir)
        subprocess.run([BIN / "sumi", "render", "bar", *map(str, SIZE), "--steps", "5", "--pack", PACKS / PACK, "-o",
                        "bar.webp"], env=place.env(TERM="xterm"), stderr=near, stdout=subprocess.DEVNULL, cwd=place.dir)
    finally:
        daemon.terminate()
        daemon.wait(60)
    os.close(near)
    raw, lines = bytes(heard), screen(bytes(heard))
    bars = raw.count(b"\x1b[K01")
    check(bars > 1, "bars were drawn", str(bars))
    torn = [l for l in lines if re.search(r" (debug|info|warn) ", l) and not re.match(r"\d{4}-\d\d-\d\dT", l)]
    check(not torn, "no log line is torn by a bar", str(torn[:2]))
    mixed = [l for l in lines if re.search(r"\[[#.]+\]|step \d+/\d+ ", l) and re.search(r"\d{4}-\d\d-\d\dT", l)]
    check(not mixed, "and no bar by a log line", str(mixed[:2]))
    wide = [p for p in raw.split(b"\r\x1b[K") if p.startswith(b"01") and len(p.split(b"\r")[0].split(b"\n")[0]) > 59]
    check(not wide, "a bar fits into a narrow terminal", str(wide[:2]))


place = Place()
try:
    place.configure(packs=f"{place.dir}/packs:{PACKS}")
    pack_with_draft(place)
    place.start()
    drafts(place)
    told_of_files(place)
    outputs(place)
    foreign(place)
    names_of_frames(place)
    closed_pipes(place)
    one_terminal(place)
finally:
    place.remove()
finish()
