# vocabulary.py: trains the byte-level BPE of the text encoder on captions of both languages and writes it in CLIP's format
# (vocab.json, merges.txt with </w> suffixes). Frequent words become one token; anything else falls back to bytes.
import collections
import json
import os

import regex

import domains

LENGTH = 48                                           # tokens of a caption, with both marks
START, END = "<|startoftext|>", "<|endoftext|>"
WORD = regex.compile(r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+",
                     regex.IGNORECASE)


def byte_letters():
    """GPT-2's map from bytes to printable characters."""
    keep = list(range(33, 127)) + list(range(161, 173)) + list(range(174, 256))
    table, n = {b: chr(b) for b in keep}, 0
    for b in range(256):
        if b not in table:
            table[b] = chr(256 + n)
            n += 1
    return {b: table[b] for b in keep + [b for b in range(256) if b not in keep]}


def count_words(domain, count=20000):
    words, A = collections.Counter(), domain.A
    for i in range(count):
        text, _ = domain.captions.caption(A.attributes(1, i, "all"), A.rng_for(1, i, 2))
        words.update(WORD.findall(text.lower()))
    return words


def train(domain, size=4000, begin=None):
    """begin: a tokenizer's folder, whose merges come first."""
    letters = byte_letters()
    split = {}
    for w, n in count_words(domain).items():
        s = [letters[b] for b in w.encode()]
        split[tuple(s[:-1] + [s[-1] + "</w>"])] = n
    merges = read_merges(begin) if begin else []
    for pair in merges:
        split = {_merge(s, pair): n for s, n in split.items()}
    while len(merges) < size - 514:
        pairs = collections.Counter()
        for s, n in split.items():
            for p in zip(s, s[1:]):
                pairs[p] += n
        if not pairs:
            break
        best = max(pairs, key=lambda p: (pairs[p], p))
        merges.append(best)
        split = {_merge(s, best): n for s, n in split.items()}
    names = list(letters.values())
    names += [n + "</w>" for n in names] + [a + b for a, b in merges] + [START, END]
    return {n: i for i, n in enumerate(names)}, merges


def _merge(s, pair):
    out, i = [], 0
    while i < len(s):
        if i + 1 < len(s) and (s[i], s[i + 1]) == pair:
            out.append(s[i] + s[i + 1])
            i += 2
        else:
            out.append(s[i])
            i += 1
    return tuple(out)


def read_merges(folder):
    with open(os.path.join(folder, "merges.txt"), encoding="utf-8") as f:
        return [tuple(m.split()) for m in f.read().split("\n")[1:] if m]


def write(folder, domain, begin=None):
    os.makedirs(folder, exist_ok=True)
    vocab, merges = train(domain, begin=begin)
    with open(os.path.join(folder, "vocab.json"), "w", encoding="utf-8") as f:
        json.dump(vocab, f, ensure_ascii=False, separators=(",", ":"))
    with open(os.path.join(folder, "merges.txt"), "w", encoding="utf-8") as f:
        f.write("#version: 0.2\n" + "".join(f"{a} {b}\n" for a, b in merges))
    with open(os.path.join(folder, "tokenizer_config.json"), "w") as f:
        json.dump({"tokenizer_class": "CLIPTokenizer", "model_max_length": LENGTH, "add_prefix_space": False, "do_lower_case": True,
                   "errors": "replace", "bos_token": START, "eos_token": END, "unk_token": END, "pad_token": END}, f, indent=2)
    with open(os.path.join(folder, "special_tokens_map.json"), "w") as f:
        json.dump({"bos_token": START, "eos_token": END, "unk_token": END, "pad_token": END}, f, indent=2)


class Tokenizer:
    """The same tokens as transformers' CLIPTokenizer, quick for captions: words are looked up in a table that grows."""

    def __init__(self, folder):
        self.vocab = json.load(open(os.path.join(folder, "vocab.json"), encoding="utf-8"))
        self.rank = {m: i for i, m in enumerate(read_merges(folder))}
        self.letters, self.known = byte_letters(), {}
        self.start, self.end = self.vocab[START], self.vocab[END]

    def word(self, w):
        if w not in self.known:
            s = [self.letters[b] for b in w.encode()]
            s = tuple(s[:-1] + [s[-1] + "</w>"])
            while len(s) > 1:
                best = min(zip(s, s[1:]), key=lambda p: self.rank.get(p, 1 << 30))
                if best not in self.rank:
                    break
                s = _merge(s, best)
            self.known[w] = [self.vocab[t] for t in s]
        return self.known[w]

    def __call__(self, text):
        ids = [self.start]
        for w in WORD.findall(" ".join(text.lower().split())):
            ids += self.word(w)
        ids = ids[:LENGTH - 1] + [self.end]
        return ids + [self.end] * (LENGTH - len(ids))
