"""What stable-diffusion-webui and ComfyUI make of weighted prompts with the small packs: tests/vectors/prompts.safetensors.

    python3 tools/reference/prompt_conditions.py FORGE/backend/text_processing ComfyUI/comfy/sd1_clip.py tests/vectors

Forge's engine and ComfyUI's weighing run as they are, over transformers' CLIP; ComfyUI's cutting into chunks is written anew here."""

import ast
import json
import sys
import types
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save_file
from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

LONG = ("watercolor mountains in the fog, the (river:1.2) at night, the moon over the lake, soft light, a quiet harbor in the rain, ink on "
        "paper, a [portrait] of a woman, an old tree in the snow, birds over the sea, a small house by the river, sunset over the water, "
        "((detailed)), high quality, calm piano, slow strings, rain on the roof")
CASES = [  # pack, syntax, texts that stand for one another, how often each
    ("sd1-tiny", "a1111", ["a (painting:1.3) of [the] mountains, ((fog))"], [1]),
    ("sd1-tiny", "a1111", [LONG], [1]),
    ("sd1-tiny", "a1111", ["a cat BREAK a (red:1.5) lake BREAK"], [1]),
    ("sd1-tiny", "a1111", ["a cat by the (river:1.4)", "a lake by the (river:1.4)"], [3, 2]),
    ("sd1-tiny", "a1111", ["a (cat:-0.5)", LONG], [1, 1]),
    ("sd2-tiny", "a1111", ["a (painting:1.3) of [the] mountains"], [1]),
    ("sdxl-tiny", "a1111", ["a (painting:1.3) of [the] mountains, ((fog))"], [1]),
    ("sd1-tiny", "comfy", ["a (painting:1.3) of [the] mountains, ((fog))"], [1]),
    ("sd1-tiny", "comfy", [LONG], [1]),
    ("sd2-tiny", "comfy", ["a (painting:0.3) of (the mountains:-1)"], [1]),
    ("sdxl-tiny", "comfy", ["a (painting:1.3) of the mountains, ((fog))"], [1]),
]


class Encoder:
    """One of a pack's text encoders, and what the pipelines take of it."""

    def __init__(self, folder, suffix, penultimate):
        kind = CLIPTextModelWithProjection if suffix else CLIPTextModel
        self.model = kind.from_pretrained(folder / ("text_encoder" + suffix), torch_dtype=torch.float32).eval()
        self.tokenizer = CLIPTokenizer.from_pretrained(folder / ("tokenizer" + suffix))
        self.penultimate, self.projects = penultimate, bool(suffix)

    def __call__(self, ids):
        out = self.model(torch.as_tensor(ids), output_hidden_states=True)
        z = out.hidden_states[-2] if self.penultimate else out.last_hidden_state
        return z, out.text_embeds if self.projects else None


def load_forge(folder):
    folder = Path(folder)
    shared = types.ModuleType("modules.shared")
    shared.opts = types.SimpleNamespace(emphasis="Original")
    memory = types.ModuleType("backend.memory_management")
    memory.text_encoder_device = lambda: torch.device("cpu")
    packages = {name: types.ModuleType(name) for name in ("modules", "backend", "backend.text_processing")}
    packages["modules"].shared, packages["backend"].memory_management = shared, memory
    sys.modules.update(packages, **{"modules.shared": shared, "backend.memory_management": memory})
    for name in ("emphasis", "parsing", "textual_inversion", "classic_engine"):
        module = types.ModuleType("backend.text_processing." + name)
        sys.modules[module.__name__] = module
        setattr(packages["backend.text_processing"], name, module)
        exec(compile((folder / (name + ".py")).read_text(), name, "exec"), module.__dict__)
    return sys.modules["backend.text_processing.classic_engine"].ClassicTextProcessingEngine


def a1111(engine_class, encoder, texts, times):
    """The engine over our encoder: of its model it wants a table of embeddings that it can wrap."""
    table = torch.nn.Embedding(4, 4)
    embeddings = types.SimpleNamespace(token_embedding=table)
    text_encoder = types.SimpleNamespace(transformer=types.SimpleNamespace(text_model=types.SimpleNamespace(embeddings=embeddings)))
    engine = engine_class(text_encoder, encoder.tokenizer)

    def encode(tokens):
        z, pooled = encoder(tokens)
        if pooled is not None:
            z.pooled = pooled
        return z
    engine.encode_with_transformers = encode
    engine.return_pooled = encoder.projects
    whole = [text for text, n in zip(texts, times) for _ in range(n)]
    out = engine(whole)
    tokens, pooled = out if encoder.projects else (out, None)
    at = np.cumsum([0, *times[:-1]])
    return tokens[at], pooled[at] if pooled is not None else None


def load_comfy(path):
    wanted = {"parse_parentheses", "token_weights", "escape_important", "unescape_important", "gen_empty_tokens", "ClipTokenWeightEncoder"}
    tree = ast.parse(Path(path).read_text())
    tree.body = [node for node in tree.body if getattr(node, "name", None) in wanted]
    module = types.ModuleType("sd1_clip")
    module.torch = torch
    here = types.SimpleNamespace(intermediate_device=lambda: torch.device("cpu"))
    module.model_management = here
    module.ldm_patched = types.SimpleNamespace(modules=types.SimpleNamespace(model_management=here))
    exec(compile(tree, path, "exec"), module.__dict__)
    return module


def comfy_chunks(module, encoder, text):
    """Of 0.3.64: a segment of fewer than 8 tokens moves to the next chunk as a whole, a longer one is cut."""
    t = encoder.tokenizer
    begin, end, pad = t.bos_token_id, t.eos_token_id, t.pad_token_id
    chunks, now = [], []

    def close():
        row = [(begin, 1.0), *now, (end, 1.0)]
        chunks.append(row + [(pad, 1.0)] * (77 - len(row)))
        now.clear()
    for segment, weight in module.token_weights(module.escape_important(text), 1.0):
        group = [(i, weight) for i in t(module.unescape_important(segment), add_special_tokens=False).input_ids]
        large = len(group) >= 8
        while len(now) + len(group) > 75:
            room = 75 - len(now) if large else 0
            now += group[:room]
            group = group[room:]
            close()
        now += group
    close()
    return chunks


def comfy(module, encoder, texts, _times):
    weigher = module.ClipTokenWeightEncoder()
    t = encoder.tokenizer
    weigher.special_tokens = {"start": t.bos_token_id, "end": t.eos_token_id, "pad": t.pad_token_id}
    weigher.encode = lambda ids: encoder(ids)
    return weigher.encode_token_weights(comfy_chunks(module, encoder, texts[0]))


@torch.no_grad()
def main():
    engine, module, out = load_forge(sys.argv[1]), load_comfy(sys.argv[2]), Path(sys.argv[3])
    tensors, facts = {}, []
    for i, (pack, syntax, texts, times) in enumerate(CASES):
        pair = pack == "sdxl-tiny"
        encoders = [Encoder(out / pack, suffix, pair) for suffix in (("", "_2") if pair else ("",))]
        make = (lambda e: a1111(engine, e, texts, times)) if syntax == "a1111" else (lambda e: comfy(module, e, texts, times))
        parts = [make(e) for e in encoders]
        tensors[f"{i}.tokens"] = torch.cat([p[0] for p in parts], -1).contiguous().numpy()
        if pair:
            tensors[f"{i}.pooled"] = parts[-1][1].contiguous().numpy()
        facts.append({"pack": pack, "syntax": syntax, "texts": texts, "times": times})
    save_file(tensors, out / "prompts.safetensors")
    (out / "prompts.conditions.json").write_text(json.dumps(facts, indent=0) + "\n")
    print({k: v.shape for k, v in tensors.items()})


if __name__ == "__main__":
    main()
