"""What the programs that prompts are written for read in them, by their own parsers: tests/vectors/prompts.json.

    python3 tools/reference/prompt_parsers.py A1111/modules/prompt_parser.py ComfyUI/comfy/sd1_clip.py tests/vectors/prompts.json

Both files are run as they are (lark is needed); of the second only the functions that take brackets apart."""

import ast
import json
import random
import sys
import types
from pathlib import Path

WORDS = ("cat dog a the castle, river, masterpiece, best-quality 4k fog by night red_hair 1girl «снег» 猫 it's AND BREAK "
         "BRAND BREAKFAST").split()

REAL = r"""masterpiece, best quality, (1girl:1.2), solo, ((detailed face)), [blurry], (looking at viewer), long hair
fantasy landscape with a [mountain:lake:0.25] and [an oak:a christmas tree:0.75][ in foreground::0.6][: in background:0.25] [shoddy:masterful:0.5]
a (((house:1.3)) [on] a (hill:0.5), sun, (((sky))).
[fe|]male portrait, oil on canvas
a [cow|horse] in a field
a cat :1.2 AND a dog AND a penguin :2.2
cinematic photo, \(35mm\), f/1.8 (bokeh:1.1), [[lens flare]]
best quality BREAK red hat BREAK blue dress, (white shoes:1.15)
(worst quality, low quality:1.4), (bad hands:1.2), watermark, text
score_9, score_8_up, 1boy, \(medium\), painting \(object\)
a photo of (a red fox:1.3) jumping over ((a lazy dog)), [winter:spring:10], volumetric light
(masterpiece:1.2) (photorealistic:1.4) (best quality:1.3) portrait of an old man [smiling:frowning:.5]
aspect ratio 16:9
time 12:30
emb:name, <lora:x:0.8>
(a:1.2) (b :1.3) (c: 1.4) (d : 1.5 )
the word and AND another; BRAND new
a \\ backslash \( and \[ more \] \)
((((deep))))[[[[shallow]]]]
(unclosed, to the end
[unclosed, to the end
closed) never ] opened
()
[]
(:1.5)
(a BREAK b:1.2)
[cat:dog:0.0] [a:1.0] [b::1]
[[red:green:2]:blue:5] ball
[a|b|c][x|y]
[ (a:1.1) : [b] : 0.5 ]
a  [b : c : 1]  d
a[b:[c:d:2]:1]e
((a][:b:c [d:3]
[a:b:-1] c
[a:b:1e1] c
[a:b:+3] c
[|a] b
[a||b]
foo ((((lol (cat:666) attack:100)))) baz
foo ((((lol (cat:666) attack):100))) baz
((foo:1.0):0.0)
(embedding:easynegative:1.2), embedding:bad-hands-5
a AND b :0.5 AND c:-1 AND
  leading and trailing spaces  
line one
(1_0:1_0) (x:1e2) (y: 0.5 ) (z:-0.3)""".split("\n")


# Behind the drawn ones, whose steps are told by their places.
ODD = r"""(a:１.２), (b:٣)
(a:１) b
((x:２.5):1٣)
a AND b :２
a :٣
[a:b:٣]
(a:1.2\))
(a:1_٣)
(🙂:1.2)é(​:.5)
[[[[a|b]|c]|[d:e:2]]:f:0.4]
((((a:1.1):1.2):1.3):1.4)BREAK((b))
[:a:1][a::1][a:1][:][::][|]
(a:+1.2)(b:-.5)(c:1.)(d: 1.2 )""".split("\n")


def words(r):
    return " ".join(r.choice(WORDS) for _ in range(r.randint(1, 3)))


def number(r):
    return r.choice(["1.2", "0.5", "1", "2", ".7", "-0.5", "1.05", " 1.3", "0.9 "])


def when(r):
    return r.choice(["0.5", "0.25", "3", "1", "1.0", "0", " 2", ".75", "4 ", "99", "0.0"])


def piece(r, depth):
    if depth == 0 or r.random() < 0.4:
        return words(r)
    inner = lambda: "".join(piece(r, depth - 1) + r.choice(["", " ", ", "]) for _ in range(r.randint(1, 2)))
    return r.choice([
        lambda: f"({inner()})", lambda: f"({inner()}:{number(r)})", lambda: f"[{inner()}]",
        lambda: f"[{inner()}:{inner()}:{when(r)}]", lambda: f"[{inner()}:{when(r)}]", lambda: f"[{inner()}::{when(r)}]",
        lambda: f"[{inner()}|{inner()}]", lambda: f"[{inner()}|{inner()}|{inner()}]", lambda: r"\(" + inner() + r"\)",
        lambda: r"\[" + inner() + r"\]", lambda: f"{inner()} AND {inner()}", lambda: f"{inner()} BREAK {inner()}",
        lambda: f"{inner()} AND {inner()} :{number(r).strip()}", lambda: f"({inner()}", lambda: f"{inner()})", lambda: f"{words(r)}: ",
        lambda: "\n" + inner(), lambda: "  " + inner(),
    ])()


def drawn(count):
    r = random.Random(20)
    while count:
        text = ", ".join(piece(r, r.randint(0, 3)) for _ in range(r.randint(1, 3)))
        if text.strip() and len(text) < 160:
            count -= 1
            yield text


def load_a1111(path):
    module = types.ModuleType("prompt_parser")
    source = Path(path).read_text()
    exec(compile(source, path, "exec"), module.__dict__)
    return module


def load_comfy(path):
    wanted = {"parse_parentheses", "token_weights", "escape_important", "unescape_important"}
    tree = ast.parse(Path(path).read_text())
    tree.body = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name in wanted]
    module = types.ModuleType("sd1_clip")
    exec(compile(tree, path, "exec"), module.__dict__)
    return module


def expected(a1111, comfy, text, steps):
    row = {"text": text, "steps": steps}
    (pairs,), flat, _ = a1111.get_multicond_prompt_list([text])
    schedules = a1111.get_learned_conditioning_prompt_schedules(list(flat), steps)
    row["parts"] = [[weight, schedules[i]] for i, weight in pairs]
    row["negative"] = a1111.get_learned_conditioning_prompt_schedules([text], steps)[0]
    try:
        row["a1111"] = a1111.parse_prompt_attention(schedules[0][0][1])
    except ValueError:
        row["a1111"] = None
    row["comfy"] = [[comfy.unescape_important(t), w] for t, w in comfy.token_weights(comfy.escape_important(text), 1.0)]
    return row


def main():
    a1111, comfy = load_a1111(sys.argv[1]), load_comfy(sys.argv[2])
    rows = [expected(a1111, comfy, text, 4 + i % 7) for i, text in enumerate([*REAL, *drawn(470), *ODD])]
    lines = ",\n".join(json.dumps(row, ensure_ascii=False, separators=(",", ":")) for row in rows)
    Path(sys.argv[3]).write_text("[" + lines + "]\n", encoding="utf-8")
    print(len(rows), "prompts")


if __name__ == "__main__":
    main()
