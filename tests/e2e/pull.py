#!/usr/bin/env python3
"""sumi pull and sumi models: a hub's model is fetched, gone on with after a cut, checked, named and removed."""
import json, os, pathlib, pty, re, shutil, struct, subprocess, sys, threading, time

from hub import COMMIT, Hub, Proxy, folder, git_name
from lib import PACK, PACKS, ROOT, Place, check, finish

NOISE = bytes(range(256)) * 400


def models(place):
    return {m["name"]: m for m in place.json("models")}


def run(place, hub, *args, **more):
    """As a user types it, and nothing of the user's own: no token, no cache."""
    env = {**place.env(), "HF_ENDPOINT": hub.url, "CIVITAI_ENDPOINT": hub.url, "HF_HUB_CACHE": str(place.dir / "hf"),
           "no_proxy": "127.0.0.1", **more}
    env.pop("HF_TOKEN", None) if "HF_TOKEN" not in more else None
    from lib import BIN
    return subprocess.run([BIN / "sumi", *map(str, args)], env=env, cwd=place.dir, capture_output=True, text=True, timeout=120)


def lora():
    name = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k"
    head = json.dumps({f"{name}.{kind}.weight": {"dtype": "F32", "shape": shape, "data_offsets": at} for kind, shape, at in
                       [("lora_down", [1, 32], [0, 128]), ("lora_up", [32, 1], [128, 256])]}).encode()
    return struct.pack("<Q", len(head)) + head + bytes(256)


def whole_model(place, hub):
    done = run(place, hub, "pull", "some/tiny-boat")
    root = place.state / "models" / "tiny-boat"
    check(done.returncode == 0 and done.stdout.strip() == str(root), "a pack is pulled", done.stderr)
    check("house-rules" in done.stderr and "MB" in done.stderr or "kB" in done.stderr, "its licence and size are said before", done.stderr)
    there = {str(p.relative_to(root)) for p in root.rglob("*") if p.is_file()}
    check({"model_index.json", "unet/config.json", "sumi.json", "SHA256SUMS"} <= there, "with its parts", str(there))
    check(not any(n.startswith(("safety_checker", "samples")) or n.endswith((".bin", ".onnx", ".md", ".ckpt")) for n in there),
          "and nothing that nobody reads", str(there))
    weights = [n for n in there if n.startswith("unet/") and n.endswith(".safetensors")]
    check(weights == ["unet/diffusion_pytorch_model.fp16.safetensors"], "of two precisions the half one", str(weights))
    check(not (place.state / "models" / ".pulling" / "tiny-boat").exists(), "no work is left behind")
    told = place.json("models", "show", "tiny-boat")
    check((told["licence"], told["source"]) == ("house-rules", f"some/tiny-boat@{COMMIT}"), "show has licence and source", str(told))
    done = run(place, hub, "models", "verify", "tiny-boat")
    check(done.returncode == 0 and "hashes" in done.stdout, "verify", done.stdout + done.stderr)
    done = run(place, hub, "pull", "some/tiny-boat")
    check(done.returncode != 0 and "already" in done.stderr, "a second pull is refused", done.stderr)
    done = place.sumi("render", "a boat", "--pack", root, "--size", "64x64", "--steps", 1, "-o", "x.png")
    check(done.returncode == 0 and (place.dir / "x.png").stat().st_size > 100, "it paints", done.stderr)
    target = root / "unet" / "diffusion_pytorch_model.fp16.safetensors"
    data = bytearray(target.read_bytes())
    data[-1] ^= 1
    target.write_bytes(data)
    done = run(place, hub, "models", "verify", "tiny-boat")
    check(done.returncode != 0 and "diffusion_pytorch_model" in done.stderr, "verify sees a flipped bit", done.stderr)
    done = run(place, hub, "models", "remove", "tiny-boat")
    check(done.returncode == 0 and not root.exists(), "remove", done.stderr)


def files(place, hub):
    for what, name in [("some/files:q8_0", "boat-Q8_0.gguf"), ("some/files:boat.safetensors", "boat.safetensors"),
                       (f"{hub.url}/some/files/blob/main/boat.safetensors", "boat.safetensors"),
                       (f"{hub.url}/some/files/resolve/main/boat.safetensors?download=true", "boat.safetensors"),
                       ("some/files@main:boat.safetensors", "boat.safetensors"),
                       ("some/files@refs/pr/1:boat.safetensors", "boat.safetensors"),
                       (f"{hub.url}/some/files/blob/refs%2Fpr%2F1/an%20old/b%C3%BCt%20%23%25.ckpt", "büt #%.ckpt"),
                       ("civitai:7", "Ink---Water-v2.safetensors"), ("civitai:7@8", "Ink---Water-v2.safetensors"),
                       (f"{hub.url}/models/7/ink-and-water?modelVersionId=8", "Ink---Water-v2.safetensors"),
                       ("urn:air:sd1:checkpoint:civitai:7@8", "Ink---Water-v2.safetensors")]:
        done = run(place, hub, "pull", what, "--name", "one")
        there = sorted(p.name for p in (place.state / "models").iterdir() if p.name != ".pulling")
        end = pathlib.Path(name).suffix
        check(done.returncode == 0 and there == ["one" + end, "one.sha256", "one.sumi.json"], f"pull {what.replace(hub.url, 'HUB')}",
              f"{done.stderr} {there}")
        run(place, hub, "models", "remove", "one")
    done = run(place, hub, "pull", "some/files:boat.safetensors")
    check((place.state / "models" / "boat.safetensors").exists(), "the name is the file's", done.stderr)
    run(place, hub, "models", "remove", "boat")
    for what, words in [("some/files", "boat-Q4_0.gguf"), ("some/files:q", "name one of its files"), ("some/none", "no model some/none"),
                        ("some/files@nowhere:q8_0", "nowhere"), ("civitai:99", "99"), ("nothing", "owner/name"),
                        ("some/pictures", "no weights"), (f"{hub.url}/some/", "ends in its name"), ("civitai:6@8", "no version")]:
        done = run(place, hub, "pull", what)
        check(done.returncode != 0 and words in done.stderr and done.stderr.count("\n") == 1, f"pull {what.replace(hub.url, 'HUB')}: one line",
              done.stderr)
    for what, path in [("some/files:q8_0", "api/models/some/files"), ("civitai:6", "api/v1/models/6")]:
        hub.refuse = {path: [(200, {})]}
        done = run(place, hub, "pull", what)
        check(done.returncode != 0 and path in done.stderr and "did not answer with JSON but with <html>not now</html>" in done.stderr and
              done.stderr.count("\n") == 1, f"{what}: a page in the place of the answer is told as one", done.stderr)
        hub.refuse = {}
    for answer, words in [(b"<!DOCTYPE html><html>Log in</html>", "page of HTML"), (b"version https://git-lfs.github.com/spec/v1\n", "LFS pointer"),
                          (struct.pack("<Q", 4000) + b"{", "cut short")]:
        hub.repos["some/files"]["plain.safetensors"] = answer
        where = f"{hub.store}/blobs/some/files/plain.safetensors"
        done = run(place, hub, "pull", where)
        check(done.returncode != 0 and words in done.stderr and where in done.stderr.strip().splitlines()[-1] and
              not (place.state / "models/plain.safetensors").exists(), f"an address that answers with '{words}' gives no model", done.stderr)
    hub.repos["some/files"]["two words,(1).safetensors"] = lora()
    done = run(place, hub, "pull", f"{hub.store}/blobs/some/files/two%20words%2C(1).safetensors")
    check(done.returncode == 0 and done.stdout.strip().endswith("/two-words--1-.safetensors"), "an address' name is read", done.stderr)
    run(place, hub, "models", "remove", "two-words--1-")
    for name in ("plain.safetensors", "two words,(1).safetensors"):
        del hub.repos["some/files"][name]
    hub.repos["some/climber"] = {"model_index.json": b"{}", "unet/config.json": b"{}", "unet/../../../out.json": b"{}"}
    done = run(place, hub, "pull", "some/climber")
    check(not (place.state / "out.json").exists() and not (place.dir / "out.json").exists(), "no file climbs out of its folder", done.stderr)


def cuts(place, hub):
    hub.cut_after, hub.asked = 30000, []
    done = run(place, hub, "pull", "some/files:q8_0")
    path = place.state / "models" / "boat-Q8_0.gguf"
    asked = [r for p, r, _ in hub.asked if p.endswith("Q8_0.gguf")]
    check(done.returncode == 0 and path.read_bytes() == NOISE, "a cut connection is gone on with", done.stderr)
    check(asked == [None, "bytes=30000-"], "where it was", str(asked))
    run(place, hub, "models", "remove", "boat-Q8_0")

    work = place.state / "models" / ".pulling" / "boat-Q8_0"
    work.mkdir(parents=True, exist_ok=True)
    (work / "boat-Q8_0.gguf.part").write_bytes(NOISE[:5000])
    hub.asked = []
    done = run(place, hub, "pull", "some/files:q8_0")
    check(done.returncode == 0 and path.read_bytes() == NOISE and hub.asked[0][1] == "bytes=5000-", "and a pull that was killed",
          f"{done.stderr} {hub.asked}")
    run(place, hub, "models", "remove", "boat-Q8_0")

    work.mkdir(parents=True, exist_ok=True)
    (work / "boat-Q8_0.gguf.part").write_bytes(b"x" * 5000)
    done = run(place, hub, "pull", "some/files:q8_0")
    check(done.returncode == 0 and path.read_bytes() == NOISE, "what is there and wrong is fetched again", done.stderr)
    run(place, hub, "models", "remove", "boat-Q8_0")

    hub.lie["boat-Q8_0.gguf"] = NOISE[::-1]
    done = run(place, hub, "pull", "some/files:q8_0")
    check(done.returncode != 0 and "hash" in done.stderr and not path.exists(), "other bytes than promised get no name", done.stderr)
    hub.lie.clear()

    hub.ranges = False
    hub.cut_after = 30000
    done = run(place, hub, "pull", "some/files:q8_0")
    check(done.returncode == 0 and path.read_bytes() == NOISE, "a server without ranges", done.stderr)
    hub.ranges = True
    run(place, hub, "models", "remove", "boat-Q8_0")


def busy(place, hub):
    """A hub that has no time, in its list and in a file; and two pulls of one model at once."""
    path = place.state / "models" / "boat-Q8_0.gguf"
    hub.refuse = {"/api/models": [(429, {"Retry_After": "2"})], "/blobs/": [(503, {})]}
    begun = time.monotonic()
    done = run(place, hub, "pull", "some/files:q8_0")
    check(done.returncode == 0 and path.read_bytes() == NOISE and not any(hub.refuse.values()), "a busy hub is asked again", done.stderr)
    check(time.monotonic() - begun >= 2, "when it says")
    run(place, hub, "models", "remove", "boat-Q8_0")
    hub.refuse = {"/api/models": [(429, {"Retry_After": "3600"})]}
    done = run(place, hub, "pull", "some/files:q8_0")
    check(done.returncode != 0 and "try again later" in done.stderr and done.stderr.count("\n") == 1, "an hour is not waited", done.stderr)
    hub.refuse, hub.pause = {}, 1
    both = []
    threads = [threading.Thread(target=lambda: both.append(run(place, hub, "pull", "some/files:q8_0"))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    hub.pause = 0
    lost = [done.stderr for done in both if done.returncode]
    check(len(lost) == 1 and ("by another sumi pull" in lost[0] or "is there already" in lost[0]) and lost[0].count("\n") == 1 and
          path.read_bytes() == NOISE, "of two pulls of one model the second is told", str(both))
    run(place, hub, "models", "remove", "boat-Q8_0")


def trust(place, hub):
    hub.token, hub.asked = "secret", []
    done = run(place, hub, "pull", "some/files:q8_0")
    check(done.returncode != 0 and "HF_TOKEN" in done.stderr and hub.url in done.stderr, "a closed model says what to do", done.stderr)
    done = run(place, hub, "pull", "some/files:q8_0", HF_TOKEN="secret")
    check(done.returncode == 0, "with a token", done.stderr)
    check([a for p, _, a in hub.asked if p.endswith("Q8_0.gguf")] == [None], "which is not sent to another host", str(hub.asked))
    check("secret" not in "".join(p.read_text(errors="replace") for p in (place.state / "models").rglob("*") if p.is_file()), "nor kept")
    run(place, hub, "models", "remove", "boat-Q8_0")
    hub.token = None
    closed = Hub()
    closed.close()
    done = run(place, closed, "pull", "some/files:q8_0")
    check(done.returncode != 0 and done.stderr.count("\n") == 1 and closed.url in done.stderr, "offline: one line", done.stderr)


def together(place, hub):
    """Several models at once: their files come beside each other, under one bar of one line."""
    hub.pause, hub.most = 0.4, 0
    env = {**place.env(), "HF_ENDPOINT": hub.url, "HF_HUB_CACHE": str(place.dir / "hf"), "no_proxy": "127.0.0.1", "TERM": "xterm"}
    from lib import BIN
    ours, theirs = pty.openpty()
    process = subprocess.Popen([BIN / "sumi", "pull", "some/files:q8_0", "some/files:q4_0", "some/tiny-boat"], env=env,
                               cwd=place.dir, stdout=subprocess.PIPE, stderr=theirs)
    os.close(theirs)
    shown = b""
    try:
        while piece := os.read(ours, 4096):
            shown += piece
    except OSError:
        pass  # how a terminal tells its end
    out = process.communicate(timeout=240)[0].decode()
    os.close(ours)
    hub.pause = 0
    names = [pathlib.Path(line).name for line in out.splitlines()]
    check(process.returncode == 0 and names == ["boat-Q8_0.gguf", "boat-Q4_0.gguf", "tiny-boat"], "three models in one call", f"{out} {shown}")
    check(hub.most >= 3, "their files come at once", str(hub.most))
    bars = [re.sub(rb"\x1b\[K", b"", bar) for line in shown.split(b"\n") for bar in line.split(b"\r") if b" files" in bar and b"%" in bar]
    check(bars and all(len(bar) < 79 and re.search(rb"\d+ of \d+ files$", bar) for bar in bars), "the bar is one short line", str(bars))
    for name in ("boat-Q8_0", "boat-Q4_0", "tiny-boat"):
        run(place, hub, "models", "remove", name)
    hub.asked = []
    done = run(place, hub, "pull", "some/files:q8_0", "some/none")
    check(done.returncode != 0 and "no model some/none" in done.stderr and hub.asked == [], "nothing is begun where one is not there", done.stderr)
    done = run(place, hub, "pull", "some/files:q8_0", "some/files:Q8_0")
    check(done.returncode != 0 and "would be called boat-Q8_0" in done.stderr, "two of one name are refused", done.stderr)
    hub.lie["boat-Q4_0.gguf"] = NOISE[1:1 + len(NOISE[::2])]
    done = run(place, hub, "pull", "some/files:q8_0", "some/files:q4_0")
    check(done.returncode != 0 and "hash" in done.stderr and (place.state / "models" / "boat-Q8_0.gguf").exists() and
          not (place.state / "models" / "boat-Q4_0.gguf").exists(), "one that is wrong does not hold back the other", done.stderr)
    hub.lie.clear()
    run(place, hub, "models", "remove", "boat-Q8_0")
    done = run(place, hub, "pull", "some/files:lora")
    check(done.returncode == 0 and done.stdout.strip() == str(place.state / "models" / "loras" / "boat-lora.safetensors"),
          "a LoRA lies with the LoRAs", done.stdout + done.stderr)
    check(any(m["name"] == "boat-lora" and m["kind"] == "lora" for m in place.json("models") if "kind" in m), "and is one")
    run(place, hub, "models", "remove", "boat-lora")


def on_the_way(place, hub):
    """Proxies of the environment; and no network at all."""
    proxy = Proxy()
    done = run(place, hub, "pull", "some/files:q8_0", http_proxy=proxy.url, no_proxy="")
    check(done.returncode == 0 and proxy.asked >= 2, "a proxy of the environment is used", f"{done.stderr} {proxy.asked}")
    run(place, hub, "models", "remove", "boat-Q8_0")
    asked = proxy.asked
    done = run(place, hub, "pull", "some/files:q8_0", http_proxy=proxy.url)
    check(done.returncode == 0 and proxy.asked == asked, "and not where no_proxy says so", done.stderr)
    run(place, hub, "models", "remove", "boat-Q8_0")
    proxy.close()
    for name, more in [("a proxy that is not there", {"http_proxy": proxy.url, "no_proxy": ""}),
                       ("a host that is not there", {"HF_ENDPOINT": "http://hub.invalid"})]:
        done = run(place, hub, "pull", "some/files:q8_0", "some/tiny-boat", **more)
        check(done.returncode != 0 and done.stderr.count("\n") == 1 and "http://" in done.stderr, f"{name}: one line", done.stderr)


def reuse(place, hub):
    import hashlib
    blobs = place.dir / "hf" / "models--some--files" / "blobs"
    blobs.mkdir(parents=True)
    (blobs / hashlib.sha256(NOISE).hexdigest()).write_bytes(NOISE)
    hub.asked = []
    done = run(place, hub, "pull", "some/files:q8_0")
    check(done.returncode == 0 and hub.asked == [], "what another program has fetched is taken", f"{done.stderr} {hub.asked}")
    run(place, hub, "models", "remove", "boat-Q8_0")


def added(place):
    shutil.copytree(PACKS / PACK, place.dir / "mine")
    done = place.sumi("models", "add", "mine/", "--name", "my-boat")
    link = place.state / "models" / "my-boat"
    check(done.returncode == 0 and link.is_symlink() and "my-boat" in models(place), "add links", done.stderr)
    done = place.sumi("models", "add", "mine", "--name", "my-boat")
    check(done.returncode != 0 and "already" in done.stderr, "not twice", done.stderr)
    place.sumi("models", "remove", "my-boat")
    check(not link.exists() and (place.dir / "mine" / "unet").is_dir(), "remove takes the link alone")
    done = place.sumi("models", "add", "mine", "--move")
    check(done.returncode == 0 and not (place.dir / "mine").exists() and "mine" in models(place), "add --move", done.stderr)
    place.sumi("models", "remove", "mine")
    for words, text in [(["remove", PACK], "where sumi put nothing"), (["remove", "no-such"], "no model"), (["remove", "../x"], "no name"),
                        (["add", "nowhere"], "nowhere"), (["bogus"], "list, add"), (["add"], "one model"), (["show", "no-such"], "no model")]:
        done = place.sumi("models", *words)
        check(done.returncode != 0 and text in done.stderr and done.stderr.count("\n") == 1, f"models {' '.join(words)}: one line", done.stderr)
    check((PACKS / PACK / "unet").is_dir(), "a pack elsewhere is not touched")
    listed = place.sumi("pull")
    table = (pathlib.Path(__file__).resolve().parents[2] / "docs" / "models.md").read_text()
    rows = [f"| `{name}` | {purpose} | {size} GB | {licence} |" for name, size, licence, purpose in
            (re.fullmatch(r"(\S+) +([\d.]+) GB +(\S+) +(.+)", line).groups() for line in listed.stdout.splitlines())]
    check(len(rows) == 10 and all(row in table for row in rows), "docs/models.md has what sumi pull prints",
          str([row for row in rows if row not in table]))


def shown(place):
    """Files are told by what is in them, never by their names."""
    weights = PACKS / PACK / "unet" / "diffusion_pytorch_model.safetensors"
    told = place.json("models", "show", weights)
    check((told["kind"], told["container"], set(told["formats"])) == ("UNet", "safetensors", {"F16"}) and told["parameters"] > 1000,
          "models show FILE", str(told))
    (place.dir / "page.safetensors").write_bytes(b"<!DOCTYPE html><html><body>404</body></html>")
    done = place.sumi("models", "show", "page.safetensors")
    check(done.returncode != 0 and "HTML" in done.stderr and done.stderr.count("\n") == 1, "a page in a model's place", done.stderr)
    real = ROOT.parent / "shared" / "real" / "lora" / "kohya_lokr_rank4.safetensors"
    if real.exists():
        told = place.json("models", "show", real)
        check("Lo" in told["kind"] and "Stable Diffusion 1" in told.get("family", ""), "a trainer's file", str(told))


def quantized(place):
    models_dir = place.state / "models"
    shutil.copytree(PACKS / PACK, models_dir / "boat-pack")
    done = place.sumi("models", "quantize", "boat-pack")
    path = models_dir / "boat-pack-q8_0.gguf"
    check(done.returncode == 0 and done.stdout.strip() == str(path) and "tensors in q8_0" in done.stderr, "models quantize", done.stderr)
    told = place.json("models", "show", path)
    check(told["container"] == "GGUF" and told["kind"] == "UNet" and told["formats"].get("Q8_0", 0) > 5, "its formats", str(told))
    check("boat-pack-q8_0" in models(place), "is a model by its name")
    for name in ("boat-pack", "boat-pack-q8_0"):
        done = place.sumi("render", "a boat", "--pack", name, "--size", "64x64", "--steps", 2, "--seed", 1, "-o", f"{name}.png")
        check(done.returncode == 0, f"{name} paints", done.stderr)
    check((place.dir / "boat-pack.png").read_bytes() != (place.dir / "boat-pack-q8_0.png").read_bytes(), "with other numbers")
    for words, text in [(["boat-pack"], "there already"), (["boat-pack", "--type", "iq4_nl"], "use one of"), (["no-such"], "no model"),
                        (["boat-pack-q8_0", "--type", "q4_0"], "in blocks already")]:
        done = place.sumi("models", "quantize", *words)
        check(done.returncode != 0 and text in done.stderr and done.stderr.count("\n") == 1, f"quantize {' '.join(words)}: one line", done.stderr)
    shutil.copytree(PACKS / PACK, models_dir / "torn-pack")
    weights = next((models_dir / "torn-pack" / "unet").glob("*.safetensors"))
    data = bytearray(weights.read_bytes())
    head = json.loads(data[8:8 + int.from_bytes(data[:8], "little")])
    name, entry = next((k, v) for k, v in head.items() if len(v.get("shape", [])) == 2)
    at = 8 + int.from_bytes(data[:8], "little") + entry["data_offsets"][0]
    bits = {"F32": b"\0\0\x80\x7f", "F16": b"\0\x7c", "BF16": b"\x80\x7f"}[entry["dtype"]]
    data[at:at + len(bits)] = bits
    weights.write_bytes(data)
    done = place.sumi("models", "quantize", "torn-pack", "--type", "q6_K")
    check(done.returncode != 0 and f"tensor '{name}' holds inf as number 0" in done.stderr and done.stderr.count("\n") == 1,
          "what blocks cannot hold is refused", done.stderr)
    check(not list(models_dir.glob("*.part")), "nothing half is left behind")


def other_client(hub, place):
    """What proves the hub: Hugging Face's own client downloads from it."""
    try:
        os.environ.update(HF_ENDPOINT=hub.url, HF_HUB_DISABLE_XET="1", HF_HOME=str(place.dir / "client"), no_proxy="127.0.0.1")
        import huggingface_hub
    except ImportError:
        print("skip the hub's own client: huggingface_hub is not installed", flush=True)
        return
    path = huggingface_hub.hf_hub_download("some/files", "boat-Q8_0.gguf", cache_dir=str(place.dir / "hf2"))
    check(pathlib.Path(path).read_bytes() == NOISE, "huggingface_hub downloads from this hub")
    env = {"HF_HUB_CACHE": str(place.dir / "hf2")}
    hub.asked = []
    done = run(place, hub, "pull", "some/files:q8_0", **env)
    check(done.returncode == 0 and hub.asked == [], "and sumi takes what it has fetched", f"{done.stderr} {hub.asked}")
    run(place, hub, "models", "remove", "boat-Q8_0")


def main():
    pack = folder(PACKS / PACK)
    unet = pack["unet/diffusion_pytorch_model.safetensors"]
    pack.update({"unet/diffusion_pytorch_model.fp16.safetensors": unet, "unet/diffusion_pytorch_model.bin": NOISE,
                 "unet/diffusion_pytorch_model.non_ema.safetensors": NOISE, "unet/model.onnx": NOISE, "README.md": b"# boat",
                 "safety_checker/config.json": b"{}", "safety_checker/model.safetensors": NOISE, "samples/one.json": b"{}",
                 "boat.ckpt": NOISE})
    hub = Hub({"some/tiny-boat": pack, "some/pictures": {"a.png": b"x"},
               "some/files": {"boat-Q8_0.gguf": NOISE, "boat-Q4_0.gguf": NOISE[::2], "boat.safetensors": NOISE[1:], "README.md": b"x",
                              "an old/büt #%.ckpt": NOISE[:4000], "boat-lora.safetensors": lora()}},
              {8: NOISE})
    place = Place()
    whole_model(place, hub)
    files(place, hub)
    cuts(place, hub)
    busy(place, hub)
    trust(place, hub)
    together(place, hub)
    on_the_way(place, hub)
    reuse(place, hub)
    added(place)
    shown(place)
    quantized(place)
    other_client(hub, place)
    hub.close()
    finish()


main()
