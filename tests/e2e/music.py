#!/usr/bin/env python3
"""The examples of docs/music-for-mood.md, word for word, against a daemon; clips and bad input as a service sends them."""
import json, re, shutil, socket, subprocess, tempfile, wave

from lib import *

PACK = "sound-tiny"
# The system's own, which python3-redis belongs to.
PYTHON = "/usr/bin/python3" if os.access("/usr/bin/python3", os.X_OK) else sys.executable
# language of the fence: name of the file, command, what must work for it to be at hand
RUNTIMES = {
    "bash": ("clip.sh", ["bash"], ["bash", "-c", "redis-cli --version"]),
    "python": ("clip.py", [PYTHON], [PYTHON, "-c", "import redis"]),
    "javascript": ("clip.js", ["node"], ["node", "--version"]),
    "go": ("clip.go", ["go", "run"], ["go", "version"]),
}


def runs(command):
    return shutil.which(command[0]) and subprocess.run(command, capture_output=True).returncode == 0


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def ogg_crc(page):
    crc = 0
    for byte in page:
        crc ^= byte << 24
        for _ in range(8):
            crc = (crc << 1 ^ (0x04c11db7 if crc & 0x80000000 else 0)) & 0xffffffff
    return crc


def with_length(ogg, samples):
    """The file with another granule position in its last page."""
    at = ogg.rindex(b"OggS")
    page = bytearray(ogg[at:])
    page[6:14] = samples.to_bytes(8, "little")
    page[22:26] = bytes(4)
    page[22:26] = ogg_crc(page).to_bytes(4, "little")
    return ogg[:at] + bytes(page)


def sounds_like(place, path, frames, name):
    """A mono clip of so many frames at 16 kHz, by oggdec."""
    if not at_hand(name, "oggdec"):
        return
    out = place.dir / "decoded.wav"
    done = subprocess.run(["oggdec", "-Q", "-o", out, path], capture_output=True, text=True)
    if check(done.returncode == 0, f"{name}: oggdec", done.stderr):
        with wave.open(str(out)) as w:
            found = w.getnframes(), w.getframerate(), w.getnchannels()
        check(found == (frames, 16000, 1), name, str(found))


def client_of_examples(place):
    """The examples say redis-cli: where only Valkey's client is installed, a folder where it has that name."""
    folder = place.dir / "bin"
    folder.mkdir()
    if not shutil.which("redis-cli") and shutil.which("valkey-cli"):
        (folder / "redis-cli").symlink_to(shutil.which("valkey-cli"))
    os.environ["PATH"] = f"{folder}:{os.environ['PATH']}"


def examples(place, port):
    client_of_examples(place)
    text = (ROOT / "docs" / "music-for-mood.md").read_text()
    for language, (name, command, probe) in RUNTIMES.items():
        if not runs(probe):
            print(f"skip example in {language}: no runtime")
            continue
        code = re.search(f"```{language}\n(.*?)```", text, re.S).group(1)
        (place.dir / name).write_text(code)
        done = subprocess.run([*command, place.dir / name], capture_output=True, text=True, timeout=120,
                              env=place.env(REDIS_URL=f"redis://127.0.0.1:{port}"))
        path = place.state / done.stdout.strip()
        if check(done.returncode == 0 and path.is_file(), f"example in {language}", done.stdout + done.stderr):
            sounds_like(place, path, 160000, f"and it is ten seconds of sound: {language}")
        bad, count = re.subn(r'(duration\W{1,4})10\b', r"\g<1>1000", code)
        (place.dir / name).write_text(bad)
        done = subprocess.run([*command, place.dir / name], capture_output=True, text=True, timeout=60,
                              env=place.env(REDIS_URL=f"redis://127.0.0.1:{port}"))
        check(count == 1 and done.returncode != 0 and "duration" in done.stderr,
              f"a job that is refused ends it with the reason: {language}", done.stdout + done.stderr)


def clips(place):
    done = place.sumi("audio", "--mood", "calm", "--duration", 4, "--seed", 5, "-o", "calm.ogg")
    check(done.returncode == 0, "audio --mood", done.stderr)
    sounds_like(place, place.dir / "calm.ogg", 64000, "and it lasts four seconds")
    first = (place.dir / "calm.ogg").read_bytes()
    done = place.sumi("again", "calm.ogg", "-o", "again.ogg")
    check(done.returncode == 0 and (place.dir / "again.ogg").read_bytes() == first, "again: the same bytes", done.stderr)
    done = place.sumi("render", "calm piano", "--negative-prompt", "drums", "--mood", "calm", "--duration", 4, "--seed", 5,
                      "-o", "render.ogg")
    check(done.returncode == 0 and (place.dir / "render.ogg").read_bytes() == first, "render takes the pack for sound, and makes the daemon's bytes",
          done.stderr)
    if at_hand("structure of the Ogg file", "oggz-validate"):
        check(subprocess.run(["oggz-validate", place.dir / "calm.ogg"], capture_output=True).returncode == 0, "oggz-validate")
    if at_hand("comments of the Ogg file", "ogginfo"):
        info = subprocess.run(["ogginfo", place.dir / "calm.ogg"], capture_output=True, text=True)
        check(info.returncode == 0 and "SUMI=" in info.stdout and "PARAMETERS=calm piano" in info.stdout,
              "ogginfo finds no fault, and the parameters", info.stdout)
    done = place.sumi("audio", "bells", "--duration", 2, "--init", place.dir / "calm.ogg", "--strength", 0.5, "-o", "bells.wav")
    with wave.open(str(place.dir / "bells.wav")) as w:
        check((w.getnframes(), w.getsampwidth()) == (32000, 2), "a WAV from another clip", done.stderr)
    done = place.sumi("again", "bells.wav", "-o", "bells-again.wav")
    check(done.returncode == 0 and sha256(place.dir / "bells-again.wav") == sha256(place.dir / "bells.wav"),
          "again with a WAV: the same bytes", done.stderr)


def send(place, redis, id, **fields):
    """Sends a job and waits for its end; SHA-256 of its sound, steps that were made for it."""
    job = {"id": id, "modality": "audio", "mood": "calm", "duration": 2, "seed": 9, **fields}
    redis.cli("XADD", "{sumi}:in", "*", "job", json.dumps(job))
    wait_for(lambda: redis.cli("HGET", f"{{sumi}}:job:{id}", "state") in ("done", "failed"), 60)
    files = json.loads(redis.cli("HGET", f"{{sumi}}:job:{id}", "v0") or "[]")
    sha = next((f["sha256"] for f in files if f["role"] == "main"), None)
    return sha, len(re.findall(rf" step.made .*id={id} ", place.log.read_text()))


def answers(place, redis):
    """The cache for identical requests."""
    first, steps = send(place, redis, "ask-1")
    check(first and steps == 3, "a first request is made", f"{first} {steps}")
    again, steps = send(place, redis, "ask-2")
    check(again == first and steps == 0, "an identical one is answered without a step", f"{again} {steps}")
    events = redis.cli("XRANGE", "{sumi}:ev:ask-2", "-", "+")
    check("answered" in events and "ask-1" in events and events.count("done") == 1, "and says where from, and ends once", events)
    own = place.json("show", "ask-2")
    check([f["sha256"] for f in own.get("artifacts", [])][:1] and wait_for(lambda: visible(place).get("ask-2")) == visible(place).get("ask-1"),
          "it has rows of its own", json.dumps(own)[:300])
    for name, fields in (("other steps", {"steps": 2}), ("another seed", {"seed": 10}), ("a loop", {"loop": True}),
                         ("more variants", {"n": 2})):
        sha, steps = send(place, redis, f"ask-{name.replace(' ', '-')}", **fields)
        check(steps > 0, f"{name}: made anew", f"{sha} {steps}")
    drawn = [send(place, redis, f"drawn-{k}", seed=-1) for k in range(2)]
    check(drawn[0][0] != drawn[1][0] and drawn[1][1] == 3, "seed -1 is always made anew", str(drawn))
    path = place.state / "artifacts" / first[:2] / first[2:4] / f"{first}.ogg"
    path.write_bytes(path.read_bytes()[:100])
    sha, steps = send(place, redis, "ask-3")
    check(sha == first and steps == 3 and sha256(path) == first, "a damaged file is made anew", f"{sha} {steps}")
    path.unlink()
    sha, steps = send(place, redis, "ask-4")
    check(sha == first and steps == 3 and sha256(path) == first, "a missing file is made anew", f"{sha} {steps}")
    path.write_bytes(path.read_bytes()[:-100] + bytes(100))
    sha, steps = send(place, redis, "ask-5")
    check(sha == first and steps == 3 and sha256(path) == first, "a file of other bytes is made anew", f"{sha} {steps}")
    mine, _ = send(place, redis, "own-1", model="own")
    _, steps = send(place, redis, "own-2", model="own")
    check(steps == 0, "a pack of one's own answers as well")
    (place.dir / "packs/own/vae/diffusion_pytorch_model.safetensors").touch()
    sha, steps = send(place, redis, "own-3", model="own")
    check(sha == mine and steps == 3, "a pack whose weights were replaced is asked itself", f"{sha} {steps}")


def own_pack(place):
    """A copy of the pack that a test may change."""
    folder = place.dir / "packs" / "own"
    shutil.copytree(PACKS / PACK, folder)
    manifest = json.loads((folder / "sumi.json").read_text())
    (folder / "sumi.json").write_text(json.dumps({**manifest, "name": "own"}))


def refusals(place, redis):
    sound = (place.dir / "calm.ogg").read_bytes()
    (place.dir / "text.ogg").write_text("no sound")
    (place.dir / "half.ogg").write_bytes(sound[:700])
    # The last page says that the stream has 2^31 samples; its checksum is made to fit.
    (place.dir / "long.ogg").write_bytes(with_length(sound, 2**31))
    (place.dir / "huge.wav").write_bytes(b"RIFF\xff\xff\xff\xffWAVEfmt \x10\0\0\0\1\0\1\0\x80\x3e\0\0\0\x7d\0\0"
                                         b"\2\0\x10\0data\xff\xff\xff\xff")
    os.mkfifo(place.dir / "pipe")
    start = lambda name: {"prompt": "x", "init": str(place.dir / name), "strength": 0.5}
    jobs = {
        "duration 0": ({"prompt": "x", "duration": 0}, "duration"),
        "duration 1e9": ({"prompt": "x", "duration": 1e9}, "duration"),
        "duration 400": ({"prompt": "x", "duration": 400}, "300"),
        "duration NaN": ('{"id": "ID", "modality": "audio", "prompt": "x", "duration": NaN}', "NaN"),
        "duration in words": ({"prompt": "x", "duration": "ten"}, "duration"),
        "frames": ({"prompt": "x", "frames": 16}, "frames"),
        "an unknown mood": ({"mood": "gloomy"}, "calm, bright"),
        "an init file that is no sound": (start("text.ogg"), "text.ogg"),
        "an init file that is cut off": (start("half.ogg"), "half.ogg"),
        "an init file that says it has 2^31 samples": (start("long.ogg"), "long.ogg"),
        "an init file that says it has 4 GiB": (start("huge.wav"), "huge.wav"),
        "an init file that is a pipe": (start("pipe"), "pipe"),
        "an init file that is a folder": (start("packs"), "folder"),
        "a mood for a picture": ({"modality": "image", "prompt": "x", "mood": "calm"}, "mood"),
        "a loop of a picture": ({"modality": "image", "prompt": "x", "loop": True}, "loop"),
        "an init file that is not there": (start("none.ogg"), "none.ogg"),
        "neither prompt nor mood": ({}, "prompt"),
    }
    for number, (name, (fields, word)) in enumerate(jobs.items()):
        said = refused_job(redis, f"bad-{number}", {"modality": "audio"}, fields)
        check(word in said, f"refused: {name}", said)


def main():
    parent, port = tempfile.mkdtemp(prefix="sumi-e2e-"), free_port()
    redis = Redis(parent, "--port", str(port)).start()
    place = Place(redis=redis.url, parent=pathlib.Path(parent), model_audio=PACK, input_dirs=parent, reuse="30d")
    own_pack(place)
    place.configure(packs=f"{PACKS}:{place.dir}/packs")
    place.start()
    try:
        examples(place, port)
        clips(place)
        answers(place, redis)
        refusals(place, redis)
    finally:
        place.stop()
        redis.stop()
        place.remove()
    finish()


main()
