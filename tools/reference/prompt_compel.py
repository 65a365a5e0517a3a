"""What compel reads in prompts, by its own parser: tests/vectors/compel.json; and what it makes of them with the small packs:
tests/vectors/compel.safetensors.

    python3 tools/reference/prompt_compel.py tests/vectors [conditions]

Needs compel (2.5.1) and transformers. A row: the text, and its parts [weight, [[share, [[words, weight], …]], …]]; null where compel refuses it,
where it leaves something out of what stands there, and where sumi does something that it does not (.swap(), LoRAs)."""

import json
import random
import sys
from pathlib import Path

import pyparsing
from compel.prompt_parser import Blend, Conjunction, CrossAttentionControlSubstitute, FlattenedPrompt, PromptParser

WORDS = "cat dog a the castle, river. masterpiece 4k fog-lit red_hair 1girl «снег» 猫 it's best-quality --x 3.5 a=b \\(x\\) x\\\"y e.g. 16:9 AND [a|b]".split()

REAL = r"""a cat playing with a ball++ in the forest
a cat playing with a ball--
(a cat)1.5 playing with a (ball)0.3
("a cat", "a dog").blend(0.7, 0.3)
("a cat playing in the forest", "an impressionist oil painting").and()
("a cat playing in the forest", "an impressionist oil painting").and(1, 0.5)
("one", "two", "three").blend(1, 1, 1, no_normalize)
("one", "two").add()
("one", "two").blend()
("one", two).blend(1, 2)
(one, two, three).and()
("one (two three)++ four", "five-").blend(.5, .5)
("one", "two").blend(1, 2, 3)
("one", "two").blend(a, b)
("one", "two").and() and more
("one", "two").blend(1, 1) and more
(one two, three).and()
(pretty flowers)++, (sky)-- and (tall (dark trees)1.3)0.8
((((very)+)+)+)+ red
"quoted words"++ and "more"1.2 "plain"
"a \"quote\" in it"+ x
word.attend(1.3) (two words).attend(++) "q".attend(-)
mountain man.attend(0.5) , hat
a cat.swap(dog) eating
a cat useLora(ink, 0.5) and withLora(wash)
(unclosed words, to the end
closed) words (and) more)
() empty ( ) brackets
(a)1. (b).5 (c)1 (d)+1 (e)-0.5
+ - ++ -- +a -b a+b a-b c+-d e++f g-- h
a,b,c,,d ,e
x(y)+ z
(x)(y)+(z)-
"" "" x
("", "one").blend(1, 1)
("one", "").and(0.5, 2)
("one").blend(1)
("one", "two").blend(0, 0)
("one", "two").blend(-1, 2)
("(a b)1.2, c", "d (e)+ f").and(1, 2)
  leading and trailing  
a\tb
prompt with \\(escaped brackets\\) and \\"quotes\\"
(escaped \\( inside)++
equals=sign (a=b)+ "a=b"+
1.5 (2)2 3+ 4-
"unclosed quote + (more)+
("a" , "b" ) .and( )
( "a", "b" ).blend( 1 , 2 )""".split("\n")


def words(r, n=3):
    return " ".join(r.choice(WORDS) for _ in range(r.randint(1, n)))


def mark(r):
    return r.choice(["+", "++", "-", "--", "+++", "1.2", "0.5", "2", ".7", "0", "1", "", "", "."])


def piece(r, depth=0):
    kind = r.random()
    if kind < 0.4 or depth > 3:
        return words(r)
    if kind < 0.6:
        return r.choice("cat dog fog tree".split()) + r.choice(["+", "++", "-", "--", "+-", "+x"])
    inner = r.choice(["", " ", ", "]).join(piece(r, depth + 1) for _ in range(r.randint(1, 2)))
    if kind < 0.85:
        return "(" + inner + ")" + mark(r)
    if kind < 0.95:
        return '"' + inner.replace('"', '\\"') + '"' + mark(r)
    return r.choice(["cat", "(a fox)", '"q r"']) + ".attend(" + r.choice(["+", "--", "1.3", "0.25", "x"]) + ")"


def text(r):
    plain = lambda: r.choice([" ", " ", ", ", ""]).join(piece(r) for _ in range(r.randint(1, 4)))
    if r.random() < 0.7:
        return plain()
    n = r.randint(1, 3)
    inside = ", ".join('"' + plain().replace('"', '\\"') + '"' if r.random() < 0.8 else piece(r) for _ in range(n))
    values = ", ".join(str(r.choice([1, 0.5, 2, 0.25, -1])) for _ in range(r.choice([n, n, n, 0, n + 1])))
    end = r.choice(["", "", "", " more", ", no_normalize"])
    word = r.choice([".blend", ".blend", ".and", ".add"])
    return f"({inside}){word}({values}{end if 'no' in end else ''}){end if 'no' not in end else ''}"


def left_out(parser, prompt):
    """Whether compel does not look at the end of it: its brackets of .and() may stand before anything."""
    import re
    prompt = re.sub(r",(\S)", r", \1", prompt)
    try:
        parser.conjunction.parse_string(prompt, parse_all=True)
        return False
    except pyparsing.ParseException:
        return True


def flat(prompt):
    if any(isinstance(c, CrossAttentionControlSubstitute) for c in prompt.children):
        raise ValueError("swap")
    return [[c.text, c.weight] for c in prompt.children]


def expected(prompt):
    parser = PromptParser()
    try:
        c = parser.parse_conjunction(prompt)
        if c.lora_weights or (prompt.strip() and left_out(parser, prompt)) or "swap(" in prompt:
            return None
        parts = []
        for p, weight in zip(c.prompts, c.weights):
            if isinstance(p, Blend):
                total = sum(p.weights) if p.normalize_weights else 1
                parts.append([weight, [[w / total, flat(q)] for q, w in zip(p.prompts, p.weights)]])
            else:
                parts.append([weight, [[1, flat(p)]]])
        return parts or [[1, [[1, [["", 1]]]]]]
    except (pyparsing.ParseException, PromptParser.ParsingException, ValueError, ZeroDivisionError):
        return None


CONDITIONS = [
    ("sd1-tiny", "a cat playing with a (ball)1.4 by the river++"),
    ("sd1-tiny", "a (cat)0.5 playing with a (red ball)- by the river"),
    ("sd1-tiny", '("a cat", "a lake in fog").blend(0.7, 0.3)'),
    ("sd1-tiny", '("a (cat)+ by the river", "a lake", "snow").blend(1, 0.5, -0.25, no_normalize)'),
    ("sd1-tiny", '("a cat", "an ink painting, (soft)0.3 light").and(1, 0.6)'),
    ("sd1-tiny", "a (cat)1.3 " + "by the river at night, ink on paper, " * 12),
    ("sdxl-tiny", "a (cat)1.4 and a (ball)0.6 by the river"),
    ("sdxl-tiny", '("a cat", "a lake").and()'),
]


def conditions(out):
    """Words that count less by removing them, long texts cut where they are full."""
    import torch
    from compel import Compel, DownweightMode, ReturnedEmbeddingsType
    from compel.embeddings_provider import SplitLongTextMode
    from safetensors.numpy import save_file
    from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer
    tensors, facts = {}, []
    for i, (pack, prompt) in enumerate(CONDITIONS):
        pair, parts = pack == "sdxl-tiny", []
        for suffix in ("", "_2") if pair else ("",):
            kind = CLIPTextModelWithProjection if suffix else CLIPTextModel
            model = kind.from_pretrained(out / pack / ("text_encoder" + suffix), torch_dtype=torch.float32).eval()
            tokenizer = CLIPTokenizer.from_pretrained(out / pack / ("tokenizer" + suffix))
            kinds = ReturnedEmbeddingsType
            compel = Compel(tokenizer, model, truncate_long_prompts=False, downweight_mode=DownweightMode.REMOVE,
                            split_long_text_mode=SplitLongTextMode.BRUTAL,
                            returned_embeddings_type=kinds.PENULTIMATE_HIDDEN_STATES_NON_NORMALIZED if pair else kinds.LAST_HIDDEN_STATES_NORMALIZED)
            with torch.no_grad():
                parts.append(compel(prompt))
                if suffix:
                    tensors[f"{i}.pooled"] = compel.conditioning_provider.get_pooled_embeddings([prompt]).contiguous().numpy()
        tensors[f"{i}.tokens"] = torch.cat(parts, -1).contiguous().numpy()
        facts.append({"pack": pack, "syntax": "compel", "texts": [prompt], "times": [1]})
    save_file(tensors, out / "compel.safetensors")
    (out / "compel.conditions.json").write_text(json.dumps(facts, indent=0) + "\n")
    print({k: v.shape for k, v in tensors.items()})


def main():
    if sys.argv[2:] == ["conditions"]:
        conditions(Path(sys.argv[1]))
        return
    r = random.Random(7)
    texts = [*REAL, *(text(r) for _ in range(470))]
    rows = [{"text": t, "parts": expected(t)} for t in dict.fromkeys(texts)]
    lines = ",\n".join(json.dumps(row, ensure_ascii=False, separators=(",", ":")) for row in rows)
    (Path(sys.argv[1]) / "compel.json").write_text("[" + lines + "]\n", encoding="utf-8")
    print(len(rows), "prompts,", sum(row["parts"] is None for row in rows), "refused")


if __name__ == "__main__":
    main()
