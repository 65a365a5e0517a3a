#!/usr/bin/env python3
"""What bad input gets: one clear line that names it, exit status 2, nothing half-written."""
import math, os, shutil, struct, subprocess, time, zlib

from lib import *

UNET = "unet/diffusion_pytorch_model.safetensors"


def run(place, *args):
    # bytes: some arguments are no UTF-8
    return subprocess.run([BIN / "sumi", *[a if isinstance(a, bytes) else str(a) for a in args]], env=place.env(),
                          capture_output=True, cwd=place.dir, timeout=60)


def refused(place, name, *args, words=(), status=2):
    before = sorted(os.listdir(place.dir))
    done = run(place, *args)
    text = done.stderr.decode(errors="replace")
    fine = (done.returncode == status and text.count("\n") == 1 and all(w in text for w in words) and
            sorted(os.listdir(place.dir)) == before and not done.stdout)
    check(fine, name, f"exit {done.returncode}: {text}")


def parameters(place):
    """The same answers with and without a daemon."""
    render = ["render", "--pack", PACKS / PACK, "-o", "x.webp"]
    for how, verb in [("render", render), ("image", ["image", "-o", "x.webp"])]:
        def bad(name, *options, words, prompt="ink"):
            refused(place, f"{how}: {name}", verb[0], prompt, *verb[1:], *options, words=words)
        bad("a prompt that is no UTF-8", prompt=b"ink \xff\xfe", words=["prompt", "UTF-8"])
        bad("a width not divisible by 8", "--width", 63, words=["width", "63"])
        bad("width 0", "--width", 0, words=["width"])
        bad("a negative height", "--height", -64, words=["height", "-64"])
        bad("an absurd width", "--width", 1000000, words=["width", "1000000"])
        bad("a width that is no number", "--width", "wide", words=["width", "number"])
        bad("NaN guidance", "--cfg-scale", "nan", words=["cfg_scale"])
        bad("infinite guidance", "--cfg-scale", "inf", words=["cfg_scale"])
        bad("steps 0", "--steps", 0, words=["steps"])
        bad("an absurd number of steps", "--steps", 10**9, words=["steps"])
        bad("an unknown sampler", "--sampler", "magic", words=["sampler", "magic"])
        bad("too many variants", "-n", 1000, words=["n"])
        bad("an unknown format", "--format", "bmp", words=["format", "webp"])
        bad("what comes before --json", "--steps", "many", "--json", words=['{"error":{"code":"invalid"', "steps"])
        bad("an option that does not exist", "--stepps", 3, words=["--stepps", "--steps"])
        bad("an option without its value", "--seed", words=["--seed", "value"])
        bad("a huge prompt", prompt="ink " * 30000, words=["prompt"])
        refused(place, f"{how}: an output without a name", verb[0], "ink", *verb[1:-1], "", words=["-o"])
    refused(place, "a second prompt", "image", "one", "two", words=["two", "quotes"])
    refused(place, "a verb that does not exist", "imagine", "ink", words=["imagine", "--help"])
    refused(place, "a model of another modality", "image", "ink", "--model", "sound-tiny", words=["sound-tiny", "audio"])
    refused(place, "a wrong time", "image", "ink", "--not-before", "tomorrow", words=["not_before", "tomorrow"])
    refused(place, "a wrong window", "image", "ink", "--window", "late", words=["window", "late"])
    refused(place, "a wrong time zone", "image", "ink", "--tz", "Mars/Olympus", words=["Mars/Olympus"])
    refused(place, "a wrong id", "image", "ink", "--id", "a b", words=["id"])
    refused(place, "JSON that is none", "submit", "{prompt}", words=["job"])
    refused(place, "JSON of another kind", "submit", "[1]", words=["object"])
    refused(place, "a field that does not exist", "submit", '{"prompt":"x","widht":64}', words=["widht", "width"])
    refused(place, "again with a file that is not there", "again", "nothing.webp", words=["nothing.webp"], status=3)
    refused(place, "a pack that is not there", *render[:1], "ink", "--pack", "/nowhere/pack", "-o", "x.webp",
            words=["/nowhere/pack"], status=3)
    refused(place, "render without -o", "render", "ink", words=["-o"])
    refused(place, "a folder that is not there", "render", "ink", "--pack", PACKS / PACK, "--steps", 1, "--width", 64,
            "--height", 64, "-q", "-o", "no/such/folder/x.webp", words=["no/such/folder"])
    refused(place, "and the same with a daemon", "image", "ink", "-o", "no/such/folder/x.webp", words=["no/such/folder"])
    (place.dir / "plain.webp").write_bytes(b"RIFF\x04\0\0\0WEBP")
    refused(place, "again with a file of somebody else", "again", "plain.webp", words=["plain.webp"])
    (place.dir / "text.webp").write_bytes(b"hello")
    refused(place, "again with something else", "again", "text.webp", words=["text.webp"])


def batches(place):
    """A file of jobs with a fault in it is refused as a whole, however long it is."""
    place.sumi("pause")
    far = ",".join(f'"{k}":"{v}"' for k, v in (("prompt", "x"), ("not_before", "2099-01-01")))
    files = {"long.jsonl": f"{{{far}}}\n" * 1500 + '{"prompt":"x","stepps":1}\n', "fine.jsonl": f"{{{far}}}\n",
             "open.csv": 'prompt,seed\nfine,1\n"never closed,7\nx,8\n', "head.csv": '"prompt\nx\n',
             "twice.csv": "prompt,prompt\nx,y\n"}
    for name, text in files.items():
        (place.dir / name).write_text(text)
    refused(place, "a fault behind 1500 jobs", "batch", "long.jsonl", words=["long.jsonl:1501", "stepps"])
    refused(place, "a fault in the second file", "batch", "fine.jsonl", "long.jsonl", words=["long.jsonl:1501"])
    refused(place, "a quote that is never closed", "batch", "open.csv", words=["open.csv:3", "quote"])
    refused(place, "a quote that is never closed in the first line", "batch", "head.csv", words=["head.csv:1", "quote"])
    refused(place, "two columns of one name", "batch", "twice.csv", words=["twice.csv:1", "prompt"])
    check(place.json("list", "--limit", 1000) == [], "and nothing of them is in the queue")
    (place.dir / "night").mkdir()
    (place.dir / "night" / "a.jsonl").write_text('{"promt":"x"}\n')
    (place.dir / "night" / "b.jsonl").write_text(f'{{"id":"behind",{far}}}\n')
    done = place.sumi("batch", "--folder", "night")
    check(done.returncode == 2 and "night/a.jsonl:1" in done.stderr and done.stdout == "behind\n" and
          sorted(os.listdir(place.dir / "night")) == ["a.jsonl", "b.jsonl.queued"],
          "a wrong file of a folder does not hold up the others", done.stdout + done.stderr)
    place.sumi("cancel", "behind")
    place.sumi("resume")


def outputs(place):
    """Results go where they are told to, and what is there already stays what it is."""
    quick = ["--width", 64, "--height", 64, "--steps", 1]
    (place.dir / "my.pictures").mkdir()
    done = place.sumi("image", "ink", *quick, "-o", "my.pictures")
    check(done.returncode == 0 and len(os.listdir(place.dir / "my.pictures")) == 1,
          "a folder with a dot in its name is no format", done.stderr)
    (place.dir / "target.webp").write_bytes(b"before")
    (place.dir / "link.webp").symlink_to("target.webp")
    done = place.sumi("image", "ink", *quick, "-o", "link.webp")
    check(done.returncode == 0 and (place.dir / "link.webp").is_symlink() and
          (place.dir / "target.webp").read_bytes()[:4] == b"RIFF", "a symbolic link stays one", done.stderr)
    os.mkfifo(place.dir / "pipe")
    reader = subprocess.Popen(["cat", place.dir / "pipe"], stdout=subprocess.PIPE)
    done = place.sumi("image", "ink", *quick, "-o", "pipe")
    check(done.returncode == 0 and (place.dir / "pipe").is_fifo() and reader.communicate(timeout=60)[0][:4] == b"RIFF",
          "a pipe stays one, and is written to", done.stderr)
    with open("/dev/full", "w") as full:
        done = subprocess.run([BIN / "sumi", "list", "--json"], env=place.env(), cwd=place.dir, stdout=full,
                              stderr=subprocess.PIPE, text=True)
    check(done.returncode == 1 and "standard output" in done.stderr, "a listing that cannot be written is told", done.stderr)
    done = place.sumi("fetch", "behind", "-o", "none.webp")
    check(done.returncode == 3 and "no files" in done.stderr, "fetch of a job that has none", done.stderr)


def printable(place):
    """What a stranger sends is shown, not obeyed."""
    place.redis_cli("XADD", "{sumi}:in", "*", "id", "coloured", "modality", "image", "prompt", "x", "model", PACK,
                    "steps", 2, "width", 64, "height", 64, "init", "/no\x1b[31m\nfile.png")
    done = place.sumi("wait", "coloured")
    last = done.stderr.splitlines()[-1]
    check(done.returncode == 5 and "\x1b" not in done.stderr and last.startswith("sumi: ") and "file.png" in last,
          "a reason with control characters is one line", done.stderr)
    check(wait_for(lambda: "file.png" in place.log.read_text(), 90) and "\x1b" not in place.log.read_text(),
          "in the log too")
    bare = "quote\" state=done id=root"
    place.redis_cli("XADD", "{sumi}:in", "*", "id", "forger", "modality", "image", "prompt", "x", "model", PACK,
                    "steps", 2, "width", 64, "height", 64, "init", f"/no/{bare}\u2028\u202e.png")
    check(wait_for(lambda: "id=forger state=failed" in place.log.read_text(), 90), "a job with an init that forges")
    lines = [l for l in place.log.read_text().splitlines() if "id=root" in l]
    check(lines and all(bare not in l and bare.replace('"', '\\"') in l for l in lines),
          "its quotes are those of a value, in every line of the log", lines)
    place.redis_cli("HSET", "{sumi}:worker:odd.0", "classes", "image/odd", "device", "\x1b[2Jred\u009b", "host", "h", "pid", 1)
    place.redis_cli("ZADD", "{sumi}:workers", int(time.time() * 1000) + 5000, "odd.0")
    said = [place.sumi("status").stdout, place.sumi("status", "--json").stdout]
    check(all("red" in s and "\x1b" not in s and "\u009b" not in s for s in said), "the device of a worker", said)
    place.redis_cli("ZREM", "{sumi}:workers", "odd.0")
    place.sumi("pause", "back\x1b[2J soon")
    said = place.sumi("status").stdout
    check("\x1b" not in said and "soon" in said.splitlines()[0], "the reason of a pause too", said)
    place.sumi("resume")


def strangers_file(place):
    """What a stranger's picture says of itself is printed on a terminal, too: keys as well as values."""
    text = "a \x1b[31mred\u009b2J \u202eprompt\u2028\nSteps: 2, Sampler: Euler, Seed: 3, Size: 64x64, Od\x1bd\u202ekey: v\x1b[0m, Model: m\u0085n"
    chunk = lambda kind, data: struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    (place.dir / "stranger.png").write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)) +
        chunk(b"iTXt", b"parameters\0\0\0\0\0" + text.encode()) + chunk(b"IDAT", zlib.compress(bytes(4))) + chunk(b"IEND", b""))
    for args in (["show"], ["show", "--json"], ["again", "--detach"]):
        done = place.sumi(args[0], "stranger.png", *args[1:])
        said = done.stdout + done.stderr
        check(said and not any(c in said for c in "\x1b\x85\u009b\u202e\u2028"), f"{' '.join(args)} of a stranger's file", repr(said))


def header_of(data):
    size, = struct.unpack("<Q", data[:8])
    return json.loads(data[8:8 + size]), data[8 + size:]


def with_header(header, body):
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


def packs(place):
    whole = (PACKS / PACK / UNET).read_bytes()
    header, body = header_of(whole)
    names = [n for n in header if n != "__metadata__"]
    first, second = names[0], names[1]

    def changed(**fields):
        new = json.loads(json.dumps(header))
        new[first].update(fields)
        return with_header(new, body)
    cases = [
        ("truncated", whole[:len(whole) // 2], [UNET]),
        ("cut within its header", whole[:100], [UNET]),
        ("empty", b"", [UNET]),
        ("with a header of 2^60 bytes", struct.pack("<Q", 1 << 60) + whole[8:], [UNET]),
        ("with a header that is no JSON", struct.pack("<Q", 16) + b"{" * 16, [UNET]),
        ("with overlapping tensors", changed(data_offsets=header[second]["data_offsets"]), [UNET]),
        ("with offsets past its end", changed(data_offsets=[0, 1 << 40]), [UNET, first]),
        ("with a wrong dtype", changed(dtype="F31"), [UNET, first]),
        ("with a wrong shape", changed(shape=[1 << 31, 1 << 31]), [UNET, first]),
        ("without a tensor", with_header({n: v for n, v in header.items() if n != first}, body), [UNET]),
    ]
    pack = place.parent / "pack"
    shutil.copytree(PACKS / PACK, pack)
    quick = ["--width", 64, "--height", 64, "--steps", 1, "-o", "x.webp", "-q"]
    for name, data, words in cases:
        (pack / UNET).write_bytes(data)
        refused(place, f"weights {name}", "render", "ink", "--pack", pack, *quick, words=words)
    (pack / UNET).write_bytes(whole)
    config = pack / "unet" / "config.json"
    text = config.read_text()
    config.write_text(text.replace('"sample_size"', '"sample_sice"')[:-10])
    refused(place, "a config that is cut off", "render", "ink", "--pack", pack, *quick, words=["unet/config.json"])
    wrong = json.loads(text)
    wrong["block_out_channels"] = [c * 2 for c in wrong["block_out_channels"]]
    config.write_text(json.dumps(wrong))
    refused(place, "a config that contradicts the weights", "render", "ink", "--pack", pack, *quick, words=[UNET])
    config.unlink()
    refused(place, "no config", "render", "ink", "--pack", pack, *quick, words=["unet/config.json"], status=3)
    (pack / UNET).unlink()
    config.write_text(text)
    (pack / "unet" / "diffusion_pytorch_model.bin").write_bytes(b"\x80\x02}q\x00.")
    done = run(place, "render", "ink", "--pack", pack, *quick)
    check(done.returncode in (2, 3) and b"pickle" in done.stderr, "a pickle that torch did not write is refused",
          done.stderr.decode())


def reshaped(data, shapes):
    """Weights with other shapes for some tensors, filled with zeros."""
    header, body = header_of(data)
    new, parts, at = {}, [], 0
    for name, row in sorted(header.items()):
        if name == "__metadata__":
            continue
        begin, end = row["data_offsets"]
        part = body[begin:end]
        if name in shapes:
            size = (end - begin) // math.prod(row["shape"])
            part = bytes(size * math.prod(shapes[name]))
            row = {**row, "shape": shapes[name]}
        new[name] = {**row, "data_offsets": [at, at + len(part)]}
        parts.append(part)
        at += len(part)
    return with_header(new, b"".join(parts))


def parts_that_do_not_match(place):
    """Each part is sound by itself; what is planned for one would be overrun by another."""
    quick = ["--width", 64, "--height", 64, "--steps", 1, "-o", "x.webp", "-q"]
    at = place.parent / "mismatched"

    def copy(pack, changes):
        shutil.rmtree(at, ignore_errors=True)
        shutil.copytree(PACKS / pack, at)
        for file, fields in changes.items():
            path = at / file
            path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))

    copy(PACK, {"vae/config.json": {"out_channels": 64}})
    weights = at / "vae/diffusion_pytorch_model.safetensors"
    last = {n: r["shape"] for n, r in header_of(weights.read_bytes())[0].items() if n.startswith("decoder.conv_out")}
    weights.write_bytes(reshaped(weights.read_bytes(), {n: [64, *shape[1:]] for n, shape in last.items()}))
    refused(place, "a VAE that gives 64 channels", "render", "ink", "--pack", at, *quick, words=["VAE", "64"])

    copy("taesd-tiny", {"vae/config.json": {"block_out_channels": [8]}})
    refused(place, "a VAE with two lists of levels", "render", "ink", "--pack", at, *quick, words=["block_out_channels"])

    copy(PACK, {})
    (at / "sumi.json").write_text('{"fast": {"steps": 1, "cfg_scale": 1}}')
    shutil.copytree(at / "unet", at / "unet_fast")
    config, weights = at / "unet_fast/config.json", at / "unet_fast/diffusion_pytorch_model.safetensors"
    config.write_text(json.dumps({**json.loads(config.read_text()), "out_channels": 64}))
    last = {n: r["shape"] for n, r in header_of(weights.read_bytes())[0].items() if n.startswith("conv_out")}
    weights.write_bytes(reshaped(weights.read_bytes(), {n: [64, *shape[1:]] for n, shape in last.items()}))
    refused(place, "a fast UNet that gives 64 channels", "render", "ink", "--fast", "--pack", at, *quick,
            words=["denoiser", "64"])
    check(run(place, "render", "ink", "--pack", at, *quick).returncode == 0, "the pack's other UNet is used")
    (place.dir / "x.webp").unlink()

    sound = {"sample_rate": 8000, "hop_length": 2048, "win_length": 4096, "n_fft": 4096, "f_max": 4000}
    manifest = json.loads((PACKS / "sound-tiny/sumi.json").read_text())
    copy("sound-tiny", {"sumi.json": {"spectrogram": {**manifest["spectrogram"], **sound}}})
    refused(place, "a loop shorter than a latent column", "render", "ink", "--pack", at, "--loop", "--duration", 1,
            "-o", "x.ogg", "-q", words=["loop", "duration"])


def files_of_others(place):
    """What a file says of its making is believed, what it says about the queue is not."""
    quick = ["--width", 64, "--height", 64, "--steps", 1]
    check(place.sumi("image", "ink", *quick, "-o", "own.webp").returncode == 0, "a picture to make again")
    data = (place.dir / "own.webp").read_bytes()
    begin = data.index(b"<sumi:json>{") + len(b"<sumi:json>{")
    more = b'"every":"1h","notify":"http://127.0.0.1:9/","priority":"high","tags":["x"],"submitter":"me",'
    chunk = data.rindex(b"XMP ", 0, begin)
    size, = struct.unpack("<I", data[chunk + 4:chunk + 8])
    body = data[chunk + 8:begin] + more + data[begin:chunk + 8 + size]
    rest = data[chunk + 8 + size + size % 2:]
    data = data[:chunk + 4] + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2) + rest
    (place.dir / "foreign.webp").write_bytes(data[:4] + struct.pack("<I", len(data) - 8) + data[8:])
    id = place.sumi("again", "foreign.webp", "--detach").stdout.strip()
    place.sumi("wait", id)
    row = place.json("show", id)
    check(row["state"] == "done" and row["prompt"] == "ink" and row.get("priority", "normal") == "normal" and
          row.get("submitter", "anonymous") == "anonymous" and not {"every", "notify", "tags"} & set(row),
          "again: a foreign file does not choose when, for whom or how often", str(row))

    (place.dir / "utf16.jsonl").write_bytes('{"modality":"image","prompt":"ink"}\n'.encode("utf-16-le"))
    refused(place, "a batch file in UTF-16", "batch", "utf16.jsonl", words=["utf16.jsonl", "UTF-8"])
    refused(place, "several jobs' files under one name", "fetch", id, id, "-o", "one.webp", words=["one.webp", "folder"])
    (place.dir / "closed" / "open").mkdir(parents=True)
    done = place.sumi("fetch", id, id, "-o", "closed/open")
    check(done.returncode == 0 and len(os.listdir(place.dir / "closed" / "open")) == 1, "a folder takes them", done.stderr)


def through_the_daemon(place):
    """A job whose pack is damaged fails at once, with the reason, and the daemon goes on."""
    shutil.copytree(PACKS / PACK, place.dir / "packs" / "broken")
    shutil.copytree(PACKS / PACK, place.dir / "packs" / PACK)
    unet = place.dir / "packs" / "broken" / UNET
    unet.write_bytes(unet.read_bytes()[:1000])
    place.configure(packs=str(place.dir / "packs"))
    place.start()
    quick = ["--width", 64, "--height", 64, "--steps", 1]
    done = place.sumi("image", "ink", "--model", "broken", "--id", "broken-1", *quick, timeout=240)
    check(done.returncode == 5 and "safetensors" in done.stderr, "a damaged pack fails the job with the reason",
          f"exit {done.returncode}: {done.stderr}")
    rows = [r["id"] for r in place.json("list", "--state", "failed")]
    check(rows == ["broken-1"] and "safetensors" in place.json("show", "broken-1")["error"], "and it is listed",
          str(rows))
    done = place.sumi("image", "ink", "--model", "nosuch", *quick)
    check(done.returncode == 3 and "nosuch" in done.stderr and PACK in done.stderr,
          "a model that is not installed is refused with those that are", done.stderr)
    done = place.sumi("image", "ink", "--width", 68, "--height", 64)
    check(done.returncode in (2, 5) and "width" in done.stderr, "a size that the model cannot make", done.stderr)
    check(place.sumi("image", "ink", *quick).returncode == 0, "the next job is made")
    files_of_others(place)
    outputs(place)
    printable(place)
    strangers_file(place)


def main():
    place = Place(input_dirs="/nowhere")
    try:
        place.start()
        parameters(place)
        batches(place)
        place.stop()
        packs(place)
        parts_that_do_not_match(place)
        through_the_daemon(place)
    finally:
        place.remove()
    finish()


main()
