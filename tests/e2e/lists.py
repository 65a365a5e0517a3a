#!/usr/bin/env python3
"""Lists of jobs as people and other programs write them: what is understood, and what is refused before the first is sent."""
from lib import *


class Lists:
    def __init__(self, place):
        self.place = place

    def write(self, name, text):
        path = self.place.dir / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())

    def jobs(self, name, text, *options, input=None):
        """The jobs that came of a list, in its order, as they stand in the queue."""
        if text is not None:
            self.write(name, text)
        done = self.place.sumi("batch", name, *options, input=input)
        ids = done.stdout.split()
        self.said = done.stderr
        wait_for(lambda: all(self.place.redis_cli("HGET", f"{{sumi}}:job:{i}", "job") for i in ids), 90)
        return [json.loads(self.place.redis_cli("HGET", f"{{sumi}}:job:{i}", "job")) for i in ids]

    def refused(self, what, name, text, *options, words=()):
        self.write(name, text)
        before = self.place.redis_cli("HGET", "{sumi}:counters", "submitted")
        done = self.place.sumi("batch", name, *options)
        check(done.returncode == 2 and all(w in done.stderr for w in words) and not done.stdout and
              self.place.redis_cli("XLEN", "{sumi}:in") == "0" and
              self.place.redis_cli("HGET", "{sumi}:counters", "submitted") == before, what, f"{done.returncode}: {done.stderr}")


def same(name, got, **want):
    check(got is not None and all(got.get(k) == v for k, v in want.items()), name, str(got))


def texts(l):
    rows = l.jobs("prompts.txt", "# for tonight\nfog over a lake\n\n   a cat, sitting  \r\n")
    check([r["prompt"] for r in rows] == ["fog over a lake", "a cat, sitting"], "a prompt a line, comments, CRLF", str(rows))
    rows = l.jobs("a1111.txt", r'--prompt "girl \(anime\), \"ink\"" --seed 18446744073709551615 --steps 2 --sampler_name "Euler a" '
                  '--batch_size 2 --n_iter 3\n--prompt a dog in the park --negative_prompt rain and snow --cfg_scale 5.5 '
                  '--width 64 --height 128 --restore_faces\nand a plain one\n--prompt=short --fast=false --seed -1\n')
    same("prompts from file: quotes and numbers", rows[0] if rows else None, prompt=r'girl \(anime\), "ink"',
         seed="18446744073709551615", steps=2, sampler="Euler a", n=6)
    same("prompts from file: words up to the next name", rows[1] if rows else None, prompt="a dog in the park",
         negative_prompt="rain and snow", cfg_scale=5.5, width=64, height=128)
    check(len(rows) == 4 and rows[2]["prompt"] == "and a plain one" and rows[3]["prompt"] == "short" and
          l.said.count("restore_faces") == 1, "what sumi has no field for is named once", str(rows) + l.said)
    rows = l.jobs("tiles.txt", "--prompt x --tiling true\n--prompt x --tiling false\n--prompt x --tile x\n") + \
        l.jobs("tiles.jsonl", '{"prompt":"x","tiling":true}\n{"prompt":"x","tiling":false}\n') + l.jobs("tiles.csv", "prompt,tiling\nx,True\nx,\n")
    check([r.get("tile") for r in rows] == ["both", None, "x", "both", None, "both", None], "tiling is a switch to others",
          str(rows) + l.said)
    l.write("s.txt", "--prompt x --styles nobody\n")
    done = l.place.sumi("batch", "s.txt")
    check("s.txt:1" in done.stderr and "there is no style 'nobody'" in done.stderr, "styles of others are style", done.stderr)
    l.refused("a quote that is never closed", "q.txt", 'fine\n--prompt "open --seed 3\n', words=["q.txt:2", "quote"])
    l.refused("a prompt that is too long", "l.txt", "--prompt=" + "x" * 9000 + "\n", words=["l.txt:1", "prompt"])
    l.refused("a name that stands there twice", "d.txt", "--prompt x --cfg-scale 3 --cfg_scale 4\n", words=["d.txt:1", "cfg_scale", "twice"])
    l.refused("a name without a value", "n.txt", "--prompt x --steps\n", words=["n.txt:1", "--steps", "value"])
    l.refused("a name that is nearly one", "m.txt", "--prompt x --stepz 3\n", words=["m.txt:1", "stepz", "steps"])


def tables(l):
    rows = l.jobs("words.jsonl", '{"prompt":"x","format":"PNG","priority":"HIGH","modality":"Image"}\n'
                  '{"prompt":"x","format":"WAV","duration":2}\n')
    check([(r["modality"], r["format"]) for r in rows] == [("image", "png"), ("audio", "wav")], "words in any case", str(rows) + l.said)
    rows = l.jobs("words.csv", "prompt,format,modality\nx,PNG,Image\ny,OGG,\n", "--duration", 2)
    check([(r["modality"], r["format"]) for r in rows] == [("image", "png"), ("audio", "ogg")], "and in tables", str(rows) + l.said)
    for name, text in [("s.csv", "prompt,size,width\nx,64x32,32\n"), ("w.csv", "prompt,height,size\nx,64,64x32\n"),
                       ("s.jsonl", '{"prompt":"x","size":"64x32","width":32}\n'), ("w.jsonl", '{"prompt":"x","height":64,"size":"64x32"}\n'),
                       ("s.txt", "--prompt x --size 64x32 --width 32\n"), ("t.jsonl", '{"prompt":"x","size":64,"Size":32}\n')]:
        l.refused(f"size and sides that contradict each other: {name}", name, text, words=[name, "size"])
    rows = l.jobs("a.csv", "prompt,size,width,height\nx,64x32,64,32\n")
    check([(r["width"], r["height"]) for r in rows] == [(64, 32)], "and that agree", str(rows) + l.said)
    l.refused("a format that is none", "f.csv", "prompt,format,modality\nx,jpg,image\n", words=["f.csv:2", "one of webp, png, jpeg\n"])
    rows = l.jobs("sheet.csv", "Prompt;Seed;CFG scale;Negative prompt\n\"one; two\nthree\";7;7,5;\"a \"\"b\"\"\"\n x ;;;\n;;;\n"
                  .replace("\n", "\r\n").encode("utf-8-sig"))
    same("semicolons, names as people write them, a decimal comma, a byte order mark", rows[0] if rows else None,
         prompt="one; two\nthree", seed=7, cfg_scale=7.5, negative_prompt='a "b"')
    check(len(rows) == 2 and rows[1]["prompt"] == " x ", "an empty line is none, and a prompt stands as it is written", str(rows))
    rows = l.jobs("tabs.tsv", "prompt\tsteps\tpage\nfog, and more\t 3 \t12\n")
    same("tabs", rows[0] if rows else None, prompt="fog, and more", steps=3)
    check("page" in l.said and "tags" not in rows[0], "a strange column is named", l.said)
    rows = l.jobs("tabs.tsv", None, "--keep-columns", "--tags", "night")
    check(rows[0].get("tags") == ["page=12"] and not l.said.count("page"), "or kept as a tag", str(rows) + l.said)
    l.refused("a tag that would be too long", "long.csv", "prompt,page\nx," + "y" * 80 + "\n", "--keep-columns", words=["long.csv:2", "page"])
    rows = l.jobs("sep.csv", "sep=;\nprompt;steps\na,b;2\n")
    same("sep=;", rows[0] if rows else None, prompt="a,b", steps=2)
    rows = l.jobs("times.csv", "prompt,not_before,tz\nx,2099-01-01 18:30,Europe/Berlin\n")
    same("times by the clock of the line's zone", rows[0] if rows else None, not_before="2099-01-01T17:30:00.000Z")
    rows = l.jobs("words.csv", "prompt,size,lossless\nx,64x128,TRUE\ny,64,No\n")
    same("a size in one word, TRUE as spreadsheets write it", rows[0] if rows else None, width=64, height=128, lossless=True)
    l.refused("a size that is none", "s.csv", "prompt,size\nx,64xx\n", words=["s.csv:2", "size", "512x768"])
    l.refused("columns that are no fields", "c.csv", "prompt|steps\nx|3\n", words=["c.csv:1", "columns", "semicolons"])
    l.refused("a column that is nearly one", "t.csv", "prompt,stepz\nx,3\n", words=["t.csv:1", "stepz", "steps"])
    l.refused("a value that is no number, behind a quoted newline", "v.csv", 'prompt,steps\n"a\nb",1\nx,many\n', words=["v.csv:4", "steps"])
    l.refused("a time that is none", "w.csv", "prompt,not_before\nx,soon\n", words=["w.csv:2", "not_before", "soon"])


def documents(l):
    rows = l.jobs("all.json", '["one",\n {"Prompt":"two","cfg":3},\n {"mood":"calm","duration":3,"model":"sound-tiny"}]', "--size", 64)
    check([r.get("prompt") for r in rows] == ["one", "two", None], "a JSON array of prompts and objects", str(rows))
    same("an option that a job does not have is not for it", rows[2] if len(rows) > 2 else None, modality="audio", mood="calm", width=None)
    same("names that other programs use", rows[1] if len(rows) > 1 else None, cfg_scale=3, width=64, height=64, modality="image")
    rows = l.jobs("one.json", '{\n  "prompt": "over lines"\n}\n')
    same("one object over several lines", rows[0] if rows else None, prompt="over lines")
    rows = l.jobs("size.json", '[{"prompt":"x","size":"128x64"},{"prompt":"y","size":64}]')
    same("a size in one word in JSON", rows[0] if rows else None, width=128, height=64)
    done = l.place.sumi("submit", "list.jsonl")
    check(done.returncode == 2 and "sumi batch" in done.stderr, "submit of a file's name", done.stderr)
    l.refused("an entry that is wrong", "bad.json", '["one", {"prompt":"x","steps":0}]', words=["bad.json: entry 2", "steps"])
    for name, text in [("a prompt", "fog\n"), ("a table", "prompt,seed\nfog,1\n"), ("an array", '[{"prompt":"fog"}]'),
                       ("objects", '{"prompt":"fog"}\n')]:
        rows = l.jobs("-", None, input=text)
        check([r["prompt"] for r in rows] == ["fog"], f"standard input: {name}", str(rows) + l.said)


def checks(l):
    """What sumi image checks, for every line before the first is sent."""
    for what, line, words in [("sampler", '{"prompt":"x","sampler":"magic"}', ["magic"]), ("size", '{"prompt":"x","width":68}', ["width", "8"]),
                              ("schedule", '{"prompt":"x","scheduler":"lunar"}', ["lunar"]),
                              ("mood", '{"mood":"furious","model":"sound-tiny"}', ["furious"]),
                              ("format", '{"modality":"image","prompt":"x","format":"ogg"}', ["ogg"]),
                              ("modality", '{"modality":"image","prompt":"x","fps":3}', ["fps"]),
                              ("fast", '{"prompt":"x","fast":true}', ["fast"]), ("strength", '{"prompt":"x","init":"a","strength":0}', ["strength"]),
                              ("id", '{"prompt":"x","id":".x"}', ["id", "dot"]), ("twice", '{"prompt":"x","id":"fine"}', ["id", "c.jsonl:1"])]:
        l.refused(f"a list is checked: {what}", "c.jsonl", '{"prompt":"fine","id":"fine"}\n' + line + "\n", words=["c.jsonl:2", *words])
        done = l.place.sumi("submit", f'[{{"prompt":"fine","id":"fine"}},{line}]')
        check(done.returncode == 2 and not done.stdout and words[0] in done.stderr, f"submit checks: {what}", done.stderr)
    l.refused("options count too", "o.jsonl", '{"prompt":"x"}\n', "--sampler", "magic", words=["o.jsonl:1", "magic"])
    check(l.jobs("none.txt", "# nothing yet\n") == [] and "no jobs" in l.said, "a list without jobs is told of", l.said)


def inits(l):
    l.place.sumi("render", "ink", "--pack", PACKS / PACK, "--size", 64, "--steps", 1, "-q", "-o", "start.png")
    (l.place.dir / "list").mkdir(exist_ok=True)
    os.rename(l.place.dir / "start.png", l.place.dir / "list" / "start.png")
    l.place.sumi("resume")
    l.write("list/from.csv", "prompt,init,steps,id\nink,start.png,2,from-list\n")
    done = l.place.sumi("batch", "list/from.csv", "--size", 64)
    check(done.returncode == 0 and l.place.sumi("wait", "from-list", timeout=240).returncode == 0,
          "a file to start from lies beside the list", done.stderr + l.place.sumi("show", "from-list").stdout)


def main():
    place = Place()
    try:
        place.start()
        place.sumi("pause")
        lists = Lists(place)
        texts(lists)
        tables(lists)
        documents(lists)
        checks(lists)
        inits(lists)
    finally:
        place.remove()
    finish()


main()
