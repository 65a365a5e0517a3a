#!/usr/bin/env python3
"""sumi's models against the same pack in diffusers and OpenVINO, turn by turn in one run.

    python3 tools/bench_diffusers.py PACK [--engine torch|torch-bf16|torch-bf16-compiled|openvino|openvino-f32|cuda]… [--sumi PROGRAM] [--size N]
                                     [--batch N] [--words step,decode,encode,text,whole] [--turns N] [--units N] [--device NAME] [--json FILE]

torch: PyTorch on the CPU, float32 (what it is fastest in without bfloat16 instructions), channels-last, SDPA;
torch-bf16 in bfloat16, torch-bf16-compiled through torch.compile as well.
openvino: the same models converted to OpenVINO, weights compressed to half, on the CPU (pip install openvino);
openvino-f32 is told to compute in float32, as sumi does, where its defaults take bfloat16 if the processor has it.
cuda: half precision, channels-last, SDPA, torch.compile.
whole: a text, four steps without guidance and a decode one after the other, everything loaded; without the sampler's
arithmetic and the file, which take either of them some milliseconds.
Each model is called once to warm up; then sumi (build/bench/models) and the engine take turns. On CPUs the ratios are
of processor time and of wall time, elsewhere both are wall time. Set OMP_WAIT_POLICY=passive: threads that spin count
as work.
"""

import argparse
import gc
import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "bench"))
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TQDM_DISABLE", "1")

import peers
import report

WORDS = {"step": "UNet step", "decode": "VAE decode", "encode": "VAE encode", "text": "text encoding",
         "whole": "picture of four steps"}
PARTS = {"whole": ["text"] + 4 * ["step"] + ["decode"]}


# ---------------------------------------------------------------------------------------------------------------------
# The models as functions of nothing
# ---------------------------------------------------------------------------------------------------------------------

def load(pack, dtype):
    """(UNet, VAE, text encoder) of a pack."""
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from transformers import CLIPTextModel
    import torch
    unet = UNet2DConditionModel.from_pretrained(pack, subfolder="unet", torch_dtype=dtype)
    vae = AutoencoderKL.from_pretrained(pack, subfolder="vae", torch_dtype=dtype)
    text = CLIPTextModel.from_pretrained(pack, subfolder="text_encoder", torch_dtype=dtype)
    return [m.eval().to(memory_format=torch.channels_last) for m in (unet, vae)] + [text.eval()]


def inputs(unet, size, batch, dtype, device):
    """{word: arguments of that model}."""
    import torch
    torch.manual_seed(0)
    side = size // 8

    def pixels(n, channels, wide):
        t = torch.randn(n, channels, wide, wide, dtype=dtype, device=device)
        return t.contiguous(memory_format=torch.channels_last)

    context = torch.randn(batch, 77, unet.config.cross_attention_dim, dtype=dtype, device=device)
    beside = []
    if unet.config.addition_embed_type == "text_time":  # Stable Diffusion XL: a pooled text and six numbers
        pooled = unet.config.projection_class_embeddings_input_dim - 6 * unet.config.addition_time_embed_dim
        beside = [torch.randn(batch, pooled, dtype=dtype, device=device),
                  torch.tensor([[size, size, 0, 0, size, size]] * batch, dtype=dtype, device=device)]
    return {"step": (pixels(batch, 4, side), torch.tensor(500, device=device), context, *beside),
            "decode": (pixels(1, 4, side),), "encode": (pixels(1, 3, size),),
            "text": (torch.zeros(1, 77, dtype=torch.int64, device=device),)}


def modules(unet, vae, text):
    """{word: a module that takes those arguments and returns one tensor}."""
    import torch

    class Part(torch.nn.Module):
        def __init__(self, owner, call):
            super().__init__()
            self.owner, self.call = owner, call

        def forward(self, *args):
            return self.call(self.owner, *args)

    def step(unet, latents, time, context, *beside):
        more = {"added_cond_kwargs": dict(zip(("text_embeds", "time_ids"), beside))} if beside else {}
        return unet(latents, time, context, return_dict=False, **more)[0]

    return {"step": Part(unet, step),
            "decode": Part(vae, lambda m, x: m.decode(x, return_dict=False)[0]),
            "encode": Part(vae, lambda m, x: m.encode(x, return_dict=False)[0].mean),
            "text": Part(text, lambda m, ids: m(ids, return_dict=False)[0])}


def torch_engine(pack, args, device="cpu", dtype=None, compiled=False):
    import torch
    torch.set_num_threads(os.cpu_count())
    dtype = getattr(torch, dtype or ("float32" if device == "cpu" else "float16"))
    models = [m.to(device) for m in load(pack, dtype)]
    parts, given = modules(*models), inputs(models[0], args.size, args.batch, dtype, device)
    if compiled or device != "cpu":
        parts = {word: torch.compile(part) for word, part in parts.items()}

    def call(word):
        with torch.inference_mode():
            parts[word](*given[word])
        if device != "cpu":
            torch.cuda.synchronize()

    return call


def openvino_engine(pack, args, **more):
    import openvino
    import torch
    from openvino.frontend.pytorch.patch_model import __make_16bit_traceable as traceable
    models = load(pack, torch.float16)  # as they are saved; in float32 a large model's would be ten gigabytes
    given, core, ready = inputs(models[0], args.size, args.batch, torch.float32, "cpu"), openvino.Core(), {}
    small = inputs(models[0], min(args.size, 256), args.batch, torch.float32, "cpu")  # what is traced takes any size
    settings = {"INFERENCE_NUM_THREADS": os.cpu_count(), "PERFORMANCE_HINT": "LATENCY", **more}
    for word, part in modules(*models).items():
        if not any(word in (asked, *PARTS.get(asked, [])) for asked in args.words.split(",")):
            continue
        traceable(part)  # traced in float32, the weights of the result in half
        with torch.inference_mode():
            converted = openvino.convert_model(part, example_input=small[word])
        openvino.save_model(converted, args.scratch / f"{word}.xml", compress_to_fp16=True)
        ready[word] = None
        del converted, part
    del models  # not needed beside what OpenVINO makes of them
    gc.collect()
    for word in ready:
        compiled = core.compile_model(args.scratch / f"{word}.xml", "CPU", settings)
        ready[word] = compiled, [t.contiguous().numpy() for t in given[word]]

    def call(word):
        compiled, values = ready[word]
        compiled(values)

    return call


ENGINES = {"torch": torch_engine,
           "torch-bf16": lambda pack, args: torch_engine(pack, args, dtype="bfloat16"),
           "torch-bf16-compiled": lambda pack, args: torch_engine(pack, args, dtype="bfloat16", compiled=True),
           "openvino": openvino_engine,
           "openvino-f32": lambda pack, args: openvino_engine(pack, args, INFERENCE_PRECISION_HINT="f32"),
           "cuda": lambda pack, args: torch_engine(pack, args, "cuda")}


# ---------------------------------------------------------------------------------------------------------------------
# Turns
# ---------------------------------------------------------------------------------------------------------------------

class Sumi:
    """build/bench/models --serve: one line in, one call."""

    def __init__(self, program, pack, args):
        command = [program, pack, "--serve", "yes", "--size", f"{args.size}x{args.size}", "--batch", str(args.batch),
                   "--precision", os.environ.get("SUMI_BENCH_PRECISION", "exact")]
        command += ["--weights", Path(os.environ.get("SUMI_CACHE_DIR", ROOT / "build/bench/cache/sumi")) / "weights"]
        command += ["--device", args.device] if args.device else []
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.units = args.units

    def turn(self, word):
        """(wall, processor seconds), of all parts of what is made of several."""
        return tuple(map(sum, zip(*(self._call(part) for part in PARTS.get(word, [word])))))

    def _call(self, word):
        self.process.stdin.write(word + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline().split()
        if len(answer) != 2:
            sys.exit("bench/models ended before its turn")
        return float(answer[0]), float(answer[1]) * self.units

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def timed(call, word, units, cpu):
    """(wall, processor seconds) of one call; off the CPU the wall clock as if all units had worked."""
    wall, busy = time.monotonic(), time.process_time()
    for part in PARTS.get(word, [word]):
        call(part)
    wall, busy = time.monotonic() - wall, time.process_time() - busy
    return wall, busy if cpu else wall * units


def measure(name, args, sumi):
    call = ENGINES[name](args.pack, args)
    rows = []
    for turn in range(args.turns + 1):  # the first warms both up
        row = {}, {}
        for word in args.words.split(","):
            row[0][word] = sumi.turn(word)
            row[1][word] = timed(call, word, args.units, name != "cuda")
            print(f"{name}: {WORDS[word]}, turn {turn}: {row[1][word][0]:.2f} s", flush=True)
        rows.append(row)
    result = {"program": "OpenVINO" if "openvino" in name else "diffusers", "options": name, "size": args.size,
              "batch": args.batch, **peers.compare(rows[1:], args.units)}
    report.summary({"peers": [result]})
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pack", metavar="PACK")
    parser.add_argument("--engine", action="append", choices=sorted(ENGINES))
    parser.add_argument("--sumi", metavar="PROGRAM", default=ROOT / "build/bench/models")
    parser.add_argument("--device", metavar="NAME", help="sumi's")
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--words", default=",".join(WORDS), help="what is compared")
    parser.add_argument("--turns", type=int, default=2)
    parser.add_argument("--units", type=int, default=os.cpu_count())
    parser.add_argument("--json", metavar="FILE", type=Path)
    parser.add_argument("--scratch", metavar="DIR", type=Path, default=ROOT / "build/bench/openvino")
    args = parser.parse_args()
    args.scratch.mkdir(parents=True, exist_ok=True)
    sumi = Sumi(args.sumi, args.pack, args)
    results = [measure(name, args, sumi) for name in args.engine or ["torch"]]
    sumi.close()
    if args.json:
        report.write_json(args.json, results)


if __name__ == "__main__":
    main()
