#!/usr/bin/env python3
"""Animations and clips in Chromium: count, durations, loops, pixels, rate, channels, samples. Skipped where none is installed.

Chromium has Vorbis decoders of its own (FFmpeg's, Symphonia's), not libvorbis; what it hears is compared with what oggdec writes."""
import functools, http.server, json, shutil, subprocess, threading

from lib import *

BROWSERS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
NEAR = 2 / 32768  # oggdec rounds to 16 bits, and each decoder in its own way
LIKE = 200  # of 255: the farthest pixel of a coded frame; of another frame it is farther


def render(place, prompt, output, *options, pack):
    done = place.sumi("render", prompt, "--pack", pack, "--steps", 2, "--seed", 3, *options, "-q", "-o", output)
    check(done.returncode == 0, f"render {output}", done.stderr)


def animations(place):
    """[(name, its frames as files where it is lossless, ms of each, how often it plays or None: for ever)]"""
    out = []
    for name, options, ms, plays in (
            ("lossless", ["--frames", 8, "--fps", 8, "--lossless"], [125] * 8, None),
            ("lossy", ["--frames", 8, "--fps", 8, "--quality", 90], [125] * 8, None),
            ("boomerang", ["--frames", 8, "--fps", 10, "--boomerang", "--lossless"], [100] * 14, None),
            ("reverse", ["--frames", 8, "--fps", 10, "--reverse", "--lossless"], [100] * 8, None),
            ("thrice", ["--frames", 4, "--fps", 25, "--loop-count", 3], [40] * 4, 3),
            ("fast", ["--frames", 6, "--fps", 60], [17, 16, 17] * 2, None),
            ("longest", ["--frames", 64, "--fps", 8, "--lossless"], [125] * 64, None)):
        size = ["--width", 32, "--height", 48]
        render(place, "birds", f"{name}.webp", *options, *size, pack=PACKS / "motion-tiny")
        if "--lossless" in options:
            options.remove("--lossless")
            render(place, "birds", f"{name}.png", *options, *size, pack=PACKS / "motion-tiny")
        files = sorted(place.dir.glob(f"{name}-frame-*.png"), key=lambda p: int(p.stem.rsplit("-", 1)[1]))
        out.append((f"{name}.webp", [p.name for p in files], ms, plays))
    return out


def films(place):
    """[(name, its frames as files, whether they are exact)]: WebM; the files are those of the same animation."""
    out = []
    for name, of, options in (("exact", "longest", ["--lossless"]), ("coded", "longest", []), ("backwards", "reverse", ["--lossless", "--reverse"])):
        files = sorted(place.dir.glob(f"{of}-frame-*.png"), key=lambda p: int(p.stem.rsplit("-", 1)[1]))
        render(place, "birds", f"{name}.webm", "--frames", len(files), "--fps", 8, "--width", 32, "--height", 48, *options, pack=PACKS / "motion-tiny")
        out.append((f"{name}.webm", [p.name for p in files], "--lossless" in options))
    return out


def flashes(place):
    """A film of 3 seconds, 8 pictures each: the first of a second is white, and a tick begins with it."""
    import array, math, wave
    if not at_hand("a film's sound", "cwebp"):
        return []
    for name, grey in (("white", 255), ("black", 0)):
        (place.dir / f"{name}.ppm").write_bytes(b"P6\n32 32\n255\n" + bytes([grey]) * 3072)
        subprocess.run(["cwebp", "-quiet", "-lossless", place.dir / f"{name}.ppm", "-o", place.dir / f"{name}.webp"], check=True)
    with wave.open(str(place.dir / "ticks.wav"), "wb") as w:
        w.setnchannels(1), w.setsampwidth(2), w.setframerate(16000)
        w.writeframes(array.array("h", (int(20000 * math.sin(i * 0.6)) if i % 16000 < 800 else 0 for i in range(48000))).tobytes())
    scenes = [s for _ in range(3) for s in ({"video": "white.webp", "frames": 1}, {"video": "black.webp", "frames": 7})]
    place.start()
    job = {"id": "flashes", "modality": "film", "prompt": "flashes", "fps": 8, "scenes": scenes, "music": [{"sound": "ticks.wav"}]}
    place.sumi("submit", json.dumps(job))
    place.sumi("wait", "flashes", "--timeout", "60s")
    done = place.sumi("fetch", "flashes", "-o", "flashes.webm")
    place.stop()
    check(done.returncode == 0, "a film of stills and a clip that were sent", done.stderr)
    return [{"name": "flashes.webm", "looks": 8, "rate": 16000}]


def sounds(place):
    """[(name, the same by oggdec, rate, channels, seconds)]"""
    stereo = place.dir / "stereo-pack"
    shutil.copytree(PACKS / "sound-tiny", stereo)
    manifest = json.loads((stereo / "sumi.json").read_text())
    manifest["spectrogram"].update(stereo=True, sample_rate=44100, f_max=20000)
    (stereo / "sumi.json").write_text(json.dumps(manifest))
    out = []
    for name, pack, rate, channels, seconds in (
            ("mono", PACKS / "sound-tiny", 16000, 1, 2), ("stereo", stereo, 44100, 2, 2.5),
            ("box", ROOT / "models" / "ink-music", 22050, 1, 5), ("minutes", PACKS / "sound-tiny", 16000, 1, 300)):
        render(place, "calm piano", f"{name}.ogg", "--duration", seconds, pack=pack)
        subprocess.run(["oggdec", "-Q", "-o", place.dir / f"{name}.wav", place.dir / f"{name}.ogg"])
        out.append((f"{name}.ogg", f"{name}.wav", rate, channels, seconds))
    return out


class Handler(http.server.SimpleHTTPRequestHandler):
    """The files, the cases, and a place for the results."""
    cases, results, came = [], {}, threading.Event()

    def do_GET(self):
        if self.path != "/cases":
            return super().do_GET()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(self.cases).encode())

    def do_POST(self):
        self.results.update(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(204)
        self.end_headers()
        self.came.set()

    def log_message(self, *args):
        pass


def ask(browser, place, cases):
    """{name: what the browser found}"""
    shutil.copy(pathlib.Path(__file__).with_suffix(".html"), place.dir)
    Handler.cases = cases
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=place.dir))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    process = subprocess.Popen(
        [browser, "--headless", "--no-sandbox", "--disable-gpu", "--mute-audio", "--no-first-run",
         "--remote-debugging-port=0", f"--user-data-dir={place.dir}/profile",
         f"http://127.0.0.1:{server.server_port}/browser.html"],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    Handler.came.wait(180)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    server.shutdown()
    return Handler.results


def main():
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if not browser:
        print("skip browser: no Chromium is installed")
        return
    if not at_hand("browser", "oggdec"):
        return
    place = Place()
    try:
        moving, clips = animations(place), sounds(place)
        shot = films(place)
        cases = [{"name": name, "frames": frames} for name, frames, *_ in moving] + \
            [{"name": name, "wav": wav, "rate": rate} for name, wav, rate, *_ in clips] + \
            [{"name": name, "frames": frames, "fps": 8, "near": 0 if exact else LIKE} for name, frames, exact in shot]
        cases += flashes(place)
        found = ask(browser, place, cases)
        for name, frames, ms, plays in moving:
            f = found.get(name, {})
            check([f.get(k, "?") for k in ("count", "ms", "plays", "width", "height")] == [len(ms), ms, plays, 32, 48],
                  f"{name}: count, durations, loops, size", str(f))
            if frames:
                check(len(frames) == len(ms) and f.get("distance") == 0, f"{name}: the pixels of its frames as files", str(f))
        for name, frames, exact in shot:
            f = found.get(name, {})
            check([f.get(k) for k in ("duration", "until", "width", "height")] == [len(frames) / 8, len(frames) / 8, 32, 48], f"{name}: length, size", str(f))
            far = f.get("distance") or [255]
            check(len(far) == len(frames) and max(far) <= (0 if exact else LIKE), f"{name}: wherever one jumps to, that frame is shown", str(f))
        if cases[-1].get("looks"):
            f = found.get("flashes.webm", {})
            check((f.get("duration"), f.get("white"), len(f.get("heard", []))) == (3, [0, 1, 2], 3) and abs(f.get("length", 0) - 3) < 0.001,
                  "flashes.webm: pictures when they shall be, and all of the sound", str(f))
            check(all(abs(a - b) < 1 / 50 for a, b in zip(f.get("heard", [9]), f.get("white", [0]))), "sound and pictures come together", str(f))
        for name, _, rate, channels, seconds in clips:
            f = found.get(name, {})
            check((f.get("length"), f.get("twice"), f.get("channels"), f.get("duration")) ==
                  (rate * seconds, 2 * rate * seconds, channels, seconds), f"{name}: {seconds} s, {rate} Hz, {channels}", str(f))
            check(f.get("distance", 1) <= NEAR, f"{name}: sample for sample what oggdec writes", str(f))
    finally:
        place.remove()
    finish()


main()
