#!/usr/bin/env python3
"""The examples of docs/music-for-mood.md, word for word, against a daemon; clips and bad input as a service sends them."""
import json, re, shutil, socket, subprocess, tempfile, wave

from lib import *

PACK = "sound-tiny"
# language of the fence: name of the file, command, what must work for it to be at hand
RUNTIMES = {
    "bash": ("clip.sh", ["bash"], ["redis-cli", "--version"]),
    "python": ("clip.py", ["/usr/bin/python3"], ["/usr/bin/python3", "-c", "import redis"]),
    "javascript": ("clip.js", ["node"], ["node", "--version"]),
    "go": ("clip.go", ["go", "run"], ["go", "version"]),
}


def at_hand(command):
    return shutil.which(command[0]) and subprocess.run(command, capture_output=True).returncode == 0


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def decoded(place, path):
    """Frames, rate and channels of an Ogg file, by oggdec."""
    out = place.dir / "decoded.wav"
    subprocess.run(["oggdec", "-Q", "-o", out, path], check=True)
    with wave.open(str(out)) as w:
        return w.getnframes(), w.getframerate(), w.getnchannels()


def examples(place, port):
    text = (ROOT / "docs" / "music-for-mood.md").read_text()
    for language, (name, command, probe) in RUNTIMES.items():
        if not at_hand(probe):
            print(f"skip example in {language}: no runtime")
            continue
        code = re.search(f"```{language}\n(.*?)```", text, re.S).group(1)
        (place.dir / name).write_text(code)
        done = subprocess.run([*command, place.dir / name], capture_output=True, text=True, timeout=120,
                              env=place.env(REDIS_URL=f"redis://127.0.0.1:{port}"))
        path = place.state / done.stdout.strip()
        if check(done.returncode == 0 and path.is_file(), f"example in {language}", done.stdout + done.stderr):
            check(decoded(place, path) == (160000, 16000, 1), f"and it is ten seconds of sound: {language}")


def clips(place):
    done = place.sumi("audio", "--mood", "calm", "--duration", 4, "--seed", 5, "-o", "calm.ogg")
    check(done.returncode == 0 and decoded(place, place.dir / "calm.ogg") == (64000, 16000, 1), "audio --mood", done.stderr)
    first = (place.dir / "calm.ogg").read_bytes()
    done = place.sumi("again", "calm.ogg", "-o", "again.ogg")
    check(done.returncode == 0 and (place.dir / "again.ogg").read_bytes() == first, "again: the same bytes", done.stderr)
    done = place.sumi("render", "calm piano", "--negative-prompt", "drums", "--mood", "calm", "--duration", 4, "--seed", 5,
                      "--pack", PACKS / PACK, "-o", "render.ogg")
    check(done.returncode == 0 and (place.dir / "render.ogg").read_bytes() == first, "render makes the daemon's bytes",
          done.stderr)
    info = subprocess.run(["ogginfo", place.dir / "calm.ogg"], capture_output=True, text=True)
    check(info.returncode == 0 and "SUMI=" in info.stdout and "PARAMETERS=calm piano" in info.stdout,
          "ogginfo finds no fault, and the parameters", info.stdout)
    done = place.sumi("audio", "bells", "--duration", 2, "--init", place.dir / "calm.ogg", "--strength", 0.5, "-o", "bells.wav")
    with wave.open(str(place.dir / "bells.wav")) as w:
        check((w.getnframes(), w.getsampwidth()) == (32000, 2), "a WAV from another clip", done.stderr)
    done = place.sumi("again", "bells.wav", "-o", "bells-again.wav")
    check(done.returncode == 0 and sha256(place.dir / "bells-again.wav") == sha256(place.dir / "bells.wav"),
          "again with a WAV: the same bytes", done.stderr)


def refusals(place, redis):
    (place.dir / "text.ogg").write_text("no sound")
    jobs = {
        "duration 0": ({"prompt": "x", "duration": 0}, "duration"),
        "duration 1e9": ({"prompt": "x", "duration": 1e9}, "duration"),
        "duration 400": ({"prompt": "x", "duration": 400}, "300"),
        "frames": ({"prompt": "x", "frames": 16}, "frames"),
        "an unknown mood": ({"mood": "gloomy"}, "calm, bright"),
        "an init file that is no sound": ({"prompt": "x", "init": str(place.dir / "text.ogg"), "strength": 0.5}, "text.ogg"),
        "neither prompt nor mood": ({}, "prompt"),
    }
    for number, (name, (fields, word)) in enumerate(jobs.items()):
        id = f"bad-{number}"
        redis.cli("XADD", "{sumi}:in", "*", "job", json.dumps({"id": id, "modality": "audio", "max_attempts": 1, **fields}))
        wait_for(lambda: redis.cli("HGET", f"{{sumi}}:job:{id}", "state") == "failed" or
                 "rejected" in redis.cli("XRANGE", f"{{sumi}}:ev:{id}", "-", "+"), 60)
        said = redis.cli("HGET", f"{{sumi}}:job:{id}", "error") + redis.cli("XRANGE", f"{{sumi}}:ev:{id}", "-", "+")
        check(word in said, f"refused: {name}", said)


def main():
    parent, port = tempfile.mkdtemp(prefix="sumi-e2e-"), free_port()
    redis = Redis(parent, "--port", str(port)).start()
    place = Place(redis=redis.url, parent=pathlib.Path(parent), model_audio=PACK).start()
    try:
        examples(place, port)
        clips(place)
        refusals(place, redis)
    finally:
        place.stop()
        redis.stop()
        place.remove()
    finish()


main()
