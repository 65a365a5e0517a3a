#!/usr/bin/env python3
"""Music in two channels whose phases are found together: files as other programs read them, by the CLI, the daemon and the gateway."""
import array, io, math, wave

from gateway_lib import *
from stereo_pack import HOP, RATE, stereo_tiny


def sides(data):
    """(frames, rate, left, right) of a WAV, as numbers from -1 to 1."""
    with wave.open(io.BytesIO(data)) as w:
        if w.getnchannels() != 2 or w.getsampwidth() != 2:
            return w.getnframes(), w.getframerate(), [], []
        x = array.array("h", w.readframes(w.getnframes()))
    return len(x) // 2, w.getframerate(), [v / 32768 for v in x[::2]], [v / 32768 for v in x[1::2]]


def power(x):
    return sum(v * v for v in x) / max(1, len(x))


def decibels(a, b):
    return 10 * math.log10(max(a, 1e-12) / max(b, 1e-12))


def added(left, right):
    """What is left of both channels' power, in decibels, for a listener with one speaker."""
    return decibels(power([(a + b) / 2 for a, b in zip(left, right)]), (power(left) + power(right)) / 2)


def probed(path):
    """(codec, rate, channels, samples) of a file of sound, by ffprobe."""
    done = subprocess.run(["ffprobe", "-v", "error", "-show_entries", "stream=codec_name,sample_rate,channels,duration_ts", "-of", "json", path],
                          capture_output=True, text=True)
    stream = (json.loads(done.stdout or "{}").get("streams") or [{}])[0]
    return tuple(stream.get(k) for k in ("codec_name", "sample_rate", "channels", "duration_ts"))


def clip(place, name, *options):
    done = place.sumi("audio", "calm piano", "--seed", 3, *options, "-o", name)
    check(done.returncode == 0, f"audio {name}", done.stderr[-300:])
    path = place.dir / name
    return path.read_bytes() if path.exists() else b""


def lengths(place):
    for seconds in (1, 1.3, 7.77, 2.22):
        made = clip(place, f"long{seconds}.wav", "--duration", seconds)
        frames, rate, left, right = sides(made)
        check((frames, rate, len(right)) == (round(seconds * RATE), RATE, frames), f"{seconds} s to the sample, in two channels", f"{frames} at {rate}")
    check(max(map(abs, left + right)) < 0.98 and power(right) > 0.0001, "both are heard, and none is cut off")
    louder = decibels(power(left), power(right))
    check(2 < louder < 12, "what is brighter in green is louder on the left", f"{louder:.2f} dB")
    if at_hand("a stereo Ogg file as others read it", "ffprobe", "oggz-validate"):
        clip(place, "odd.ogg", "--duration", 7.77)
        check(probed(place.dir / "odd.ogg") == ("vorbis", str(RATE), 2, round(7.77 * RATE)), "ffprobe reads the same of an Ogg file", str(probed(place.dir / "odd.ogg")))
        done = subprocess.run(["oggz-validate", place.dir / "odd.ogg"], capture_output=True, text=True)
        check(done.returncode == 0, "oggz-validate finds no fault", done.stdout + done.stderr)


def stage(place):
    """What stands between the speakers: one phase for both keeps it when the channels are added."""
    kept = {model: added(*sides(clip(place, f"{model}.wav", "--model", model, "--duration", 2))[2:]) for model in ("stereo", "apart")}
    check(kept["stereo"] > -0.5 and kept["apart"] < -1.5, "phases found together add up, those found apart do not", str(kept))


def loops(place):
    for options, frames in ((("--duration", 2.01), round(2.01 * RATE / HOP) * HOP), (("--mood", "calm", "--duration", 2.3), 2 * RATE)):
        _, _, left, right = sides(clip(place, "loop.wav", "--loop", *options))
        check(len(left) == frames, f"a loop of {options[-1]} s: whole columns, and whole beats of a mood", str(len(left)))
        for name, x in (("left", left), ("right", right)):
            meets(x, name)
        again = place.sumi("again", "loop.wav", "-o", "again.wav")
        check(again.returncode == 0 and sha256(place.dir / "again.wav") == sha256(place.dir / "loop.wav"), "again: the same loop", again.stderr[-300:])


def same_bytes(place):
    first = clip(place, "first.ogg", "--duration", 2)
    done = place.sumi("render", "calm piano", "--seed", 3, "--duration", 2, "-o", "render.ogg")
    check(done.returncode == 0 and first and (place.dir / "render.ogg").read_bytes() == first, "render makes the daemon's bytes", done.stderr[-300:])
    done = place.sumi("again", "first.ogg", "-o", "again.ogg")
    check(done.returncode == 0 and (place.dir / "again.ogg").read_bytes() == first, "again: the same bytes", done.stderr[-300:])
    shown = json.loads(place.sumi("show", "first.ogg", "--json").stdout or "{}")
    check((shown.get("model"), shown.get("duration"), shown.get("width"), shown.get("height")) == ("stereo", 2, 64, 80), "the file says how it was made", str(shown)[:300])


def begun_from(place):
    """Clips to start from: in two channels, in one, at another rate, with the channels exchanged."""
    def write(name, rate, *channels):
        with wave.open(str(place.dir / name), "wb") as w:
            w.setparams((len(channels), 2, rate, 0, "NONE", ""))
            w.writeframes(array.array("h", [int(8000 * v) for frame in zip(*channels) for v in frame]).tobytes())

    tone = lambda hertz, rate: [math.sin(2 * math.pi * hertz * i / rate) for i in range(rate)]
    low, high = tone(300, RATE), tone(5000, RATE)
    write("both.wav", RATE, low, high)
    write("exchanged.wav", RATE, high, low)
    write("one.wav", RATE, low)
    write("other-rate.wav", 44100, tone(300, 44100), tone(5000, 44100))
    made = {}
    for name in ("both", "exchanged", "one", "other-rate"):
        done = place.sumi("audio", "bells", "--duration", 1.5, "--seed", 4, "--init", place.dir / f"{name}.wav", "--strength", 0.5, "-o", f"from-{name}.wav")
        check(done.returncode == 0, f"a clip from {name}.wav", done.stderr[-300:])
        made[name] = (place.dir / f"from-{name}.wav").read_bytes()
    check(all(sides(data)[0] == 1.5 * RATE and sides(data)[3] for data in made.values()), "each as long as was asked for, in two channels")
    check(len({*map(sides_only, (made["both"], made["exchanged"], made["one"]))}) == 3, "which channel held what counts")
    done = place.sumi("again", "from-both.wav", "-o", "again.wav")
    check(done.returncode == 0 and (place.dir / "again.wav").read_bytes() == made["both"], "again: the same bytes", done.stderr[-300:])


def sides_only(data):
    """The samples without what the file says of itself."""
    with wave.open(io.BytesIO(data)) as w:
        return w.readframes(w.getnframes())


def gone_on(place):
    """Killed between two steps: the same bytes as without that."""
    options = ["--seed", 8, "--steps", 40, "--duration", 2]
    clip(place, "whole.ogg", *options)
    place.sumi("audio", "calm piano", *options, "--id", "cut", "--detach")
    resumed_like(place, "cut", "whole.ogg")


def gateway(place):
    g = Gateway(place)
    body = {"prompt": "calm piano", "music_length_ms": 1300}
    status, _, data = g.ask("POST", "/v1/music?output_format=wav", body)
    check(status == 200 and sides(data)[:2] == (round(1.3 * RATE), RATE) and sides(data)[3], "ElevenLabs: WAV in two channels", f"{status} {data[:200]}")
    status, _, data = g.ask("POST", "/v1/music?output_format=pcm_24000", body)
    samples = array.array("h", data) if status == 200 else []
    check(len(samples) == round(1.3 * 24000) and max(map(abs, samples)) > 1000, "PCM: both added to one", f"{status} {len(samples)}")
    status, _, data = g.ask("POST", "/v1/audio/speech", {"model": "x", "voice": "x", "input": "calm piano", "duration": 1.3, "response_format": "wav"})
    check(status == 200 and sides(data)[0] == round(1.3 * RATE), "speech", f"{status} {data[:200]}")
    status, _, data = g.get("/v1/mood/calm.wav?duration=2.3&loop=true")
    check(status == 200 and sides(data)[0] == 2 * RATE, "a mood, as a loop", f"{status} {data[:200]}")
    job = g.get("/jobs?modality=audio")[2]["jobs"][0]
    drawn = {f["role"]: (f.get("width"), f.get("height")) for f in job["files"]}
    check(drawn.get("spectrogram", (0, 0))[1] == 80, "its spectrogram is a picture of all bands", str(drawn))
    thumb = next(f["thumb"] for f in job["files"] if f["role"] == "main")
    check(g.get("/" + thumb.split("/", 3)[3])[2][8:12] == b"WEBP", "its waveform is drawn")
    mp3s(place, g)
    g.stop()


def mp3s(place, g):
    """Players that honour LAME's frame hear clips as long as they shall be, and loops without a gap."""
    if not at_hand("what an MP3 sounds like", "ffmpeg"):
        return
    for what, path, body, seconds in (("a clip", "/v1/music", {"prompt": "calm piano", "music_length_ms": 1300}, 1.3),
                                      ("a loop", "/v1/sound-generation", {"text": "calm piano", "duration_seconds": 2, "loop": True}, 2)):
        status, _, data = g.ask("POST", path + "?output_format=mp3_44100_128", body)
        if status == 400 and "libmp3lame" in str(data):
            print("skip MP3: libmp3lame is not installed")
            return
        (place.dir / "music.mp3").write_bytes(data)  # of a pipe older ffmpegs do not cut the end off
        done = subprocess.run(["ffmpeg", "-v", "error", "-i", place.dir / "music.mp3", "-f", "s16le", "-"], capture_output=True)
        check(len(done.stdout) == 4 * round(seconds * 44100), f"MP3, {what}: as long as it shall be, in two channels, by ffmpeg", f"{status} {len(done.stdout) / 4}")
    meets(array.array("h", done.stdout)[::2], "MP3")


def meets(x, name):
    steps = sorted(abs(a - b) for a, b in zip(x, x[1:]))
    check(abs(x[0] - x[-1]) <= steps[int(0.9 * len(steps))], f"{name}: the end meets the beginning", f"{abs(x[0] - x[-1])}")


def main():
    parent = pathlib.Path(tempfile.mkdtemp(prefix="sumi-e2e-"))
    place = Place(parent=parent, model_audio="stereo", packs=str(parent / "packs"), input_dirs=str(parent))
    stereo_tiny(parent / "packs" / "stereo")
    stereo_tiny(parent / "packs" / "apart", phases="apart")
    place.start()
    try:
        for part in (lengths, stage, loops, same_bytes, begun_from, gone_on, gateway):
            part(place)
    finally:
        place.stop()
        place.remove()
    finish()


main()
