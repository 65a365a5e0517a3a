"""A small CLIP tokenizer: byte-level BPE trained here, in the layout of vocab.json and merges.txt."""

import json
from collections import Counter
from pathlib import Path

import regex

from common import write_json

BOS, EOS = "<|startoftext|>", "<|endoftext|>"

# Words of one piece, as transformers' CLIPTokenizer splits them.
PATTERN = regex.compile(
    r"""<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+""")

CORPUS = """
a photo of a cat, a painting of a cat, a drawing of the mountain in the fog, watercolor mountains in the fog
the river at night, the moon over the lake, soft light, a quiet harbor in the rain, ink on paper, a portrait of a woman
an old tree in the snow, birds over the sea, a small house by the river, sunset over the water, detailed, high quality
calm piano, slow strings, rain on the roof, jazz with a double bass, drums and guitar, ambient music, solo violin
blurry, low quality, watermark, text, deformed hands, the best, masterpiece, cinematic lighting, wide shot, close up
it's the cat's house, they're here, we've seen it, i'm here, don't go, you'll see, i'd stay
туман над рекой, горы в тумане, акварель, рисунок тушью, портрет женщины, старое дерево в снегу, кошка на окне
ночная река, луна над озером, тихая гавань под дождём, закат над морем, маленький дом у реки, птицы над водой
спокойное фортепиано, медленные струнные, дождь по крыше, музыка для сна, мягкий свет, высокое качество
картина маслом, осенний лес, зимний город, весна в саду, летний вечер, утро в горах, снег идёт, ветер и волны
un château dans la forêt, été à la montagne, für elise, straße im regen, niño en la playa, coração, señor, garçon
水墨画 山水 猫 月亮 雪山 夜の川 東京の夜 桜の木 海と空 한국의 산 고양이
"""


# ---------------------------------------------------------------------------------------------------------------------
# Training
# ---------------------------------------------------------------------------------------------------------------------

def byte_table():
    """GPT-2's map of the 256 bytes to printable characters, in the order in which CLIP numbers them."""
    visible = list(range(33, 127)) + list(range(161, 173)) + list(range(174, 256))
    points, extra = list(visible), 0
    for b in range(256):
        if b not in visible:
            visible.append(b)
            points.append(256 + extra)
            extra += 1
    return {b: chr(c) for b, c in zip(visible, points)}


def merge_word(word, pair):
    out, i = [], 0
    while i < len(word):
        if i + 1 < len(word) and (word[i], word[i + 1]) == pair:
            out.append(word[i] + word[i + 1])
            i += 2
        else:
            out.append(word[i])
            i += 1
    return tuple(out)


def train(count):
    """The first `count` merges of a plain BPE; ties go to the pair that sorts first."""
    table = byte_table()
    words = Counter()
    for piece in PATTERN.findall(CORPUS.lower()):
        chars = [table[b] for b in piece.encode()]
        words[tuple(chars[:-1] + [chars[-1] + "</w>"])] += 1
    merges = []
    while len(merges) < count:
        pairs = Counter()
        for word, n in words.items():
            for pair in zip(word, word[1:]):
                pairs[pair] += n
        if not pairs:
            break
        best = min(pairs, key=lambda p: (-pairs[p], p))
        merges.append(best)
        new = Counter()
        for word, n in words.items():
            new[merge_word(word, best)] += n
        words = new
    return merges


# ---------------------------------------------------------------------------------------------------------------------
# Writing the folder
# ---------------------------------------------------------------------------------------------------------------------

def build(count=320, extra=0):
    """(vocab, merges); `extra` words are added behind the end token, so that it is not the highest id."""
    merges = train(count)
    chars = list(byte_table().values())
    tokens = chars + [c + "</w>" for c in chars] + ["".join(m) for m in merges] + [BOS, EOS]
    tokens += ["<|extra%d|>" % i for i in range(extra)]
    return {t: i for i, t in enumerate(tokens)}, merges


def write_tokenizer(folder, count=320, extra=0, max_length=77, pad=EOS, at=None):
    """Writes the tokenizer folder; `at` moves (bos, eos) to ids of a larger vocabulary. Returns vocab."""
    vocab, merges = build(count, extra)
    if at:
        vocab[BOS], vocab[EOS] = at
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps(vocab, ensure_ascii=False, separators=(",", ":")) + "\n", "utf-8")
    lines = ["#version: 0.2"] + [" ".join(m) for m in merges]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n", "utf-8")
    special = {"bos_token": BOS, "eos_token": EOS, "unk_token": EOS, "pad_token": pad}
    write_json(folder / "special_tokens_map.json", special)
    write_json(folder / "tokenizer_config.json", {
        "add_prefix_space": False, **special, "do_lower_case": True, "errors": "replace",
        "model_max_length": max_length, "tokenizer_class": "CLIPTokenizer"})
    return vocab
