# words.py: what the packs in the box can paint, for `sumi script`: words.json of each pack (docs/packs-format.md), made of what the
# captions of their corpora say. `python -m tools.corpus.words` writes them.
import json, pathlib

from . import attributes, captions, motion

ROOT = pathlib.Path(__file__).resolve().parents[2] / "models"
SHOWN = 2  # of a value's synonyms in each language

# Beginnings of words by which a theme means a value.
NEAR = {
    "subject": {
        "mountains": "mountain hill peak ridge горы гор горн вершин", "sea": "sea ocean wave sail boat море моря морск океан волн парус лодк",
        "forest": "forest wood fir pine лес елов сосн хвой", "city": "city town street skyscraper город улиц небоскрёб небоскреб",
        "desert": "desert dune sand cactus пустын песк песч бархан кактус", "lighthouse": "lighthouse beacon cliff маяк утёс утес",
        "tree": "tree meadow oak дерев дуб луг", "spaceport": "space star nebula ship rocket космос космич звезд звёзд туманност корабл ракет",
        "easel": "apple easel painter яблок мольберт художник", "inkglass": "ink drop glass чернил капл туш стакан"},
    "style": {
        "watercolour": "watercol акварел", "ink": "sumi суми", "oil": "oil canvas масл холст", "pixel": "pixel 8-bit пиксел",
        "neon": "neon glow неон", "pencil": "pencil sketch карандаш"},
    "time": {"dawn": "dawn sunrise morning рассвет утр", "day": "noon day полдень днём днем день", "sunset": "sunset evening dusk закат вечер",
             "night": "night moon dark ночь ночи ночн лун темн"},
    "weather": {"clear": "clear ясн", "fog": "fog mist туман дымк", "rain": "rain storm дожд гроз", "snow": "snow winter снег снеж зим"},
    "palette": {"golden": "gold amber золот янтар", "blue": "blue син голуб", "violet": "violet purple фиолет пурпур",
                "green": "green emerald зелён зелен изумруд", "mono": "monochrome black чёрн черн"},
}
# The motion that follows from what is there: the first that holds (motion.motion_of).
WHEN = [("spread", "subject", ["inkglass"]), ("snow", "weather", ["snow"]), ("rain", "weather", ["rain"]), ("fog", "weather", ["fog"]),
        ("waves", "subject", ["sea", "lighthouse"]), ("stars", "time", ["night"]), ("light", "time", ["dawn", "sunset"]),
        ("flicker", "style", ["neon"]), ("pan-left", "subject", ["spaceport", "easel"]), ("pan-right", None, None)]


def picture():
    out = []
    for kind in ["style", "subject", "weather", "time", "palette"]:          # as captions have them: NATURAL_ORDER
        words = captions.SUBJECT if kind == "subject" else captions.WORDS[kind]
        values = []
        for name in words["en"]:
            value = {"name": name, "en": words["en"][name][:SHOWN], "ru": words["ru"][name][:SHOWN],
                     "near": NEAR[kind][name].split()}
            if kind == "subject" and name in attributes.INDOOR:
                value["without"] = ["weather", "time"]
            values.append(value)
        out.append({"kind": kind, "values": values})
    return out


def moving():
    values = []
    for name, kind, of in WHEN:
        value = {"name": name, "en": motion.SAY["en"][name][:1], "ru": motion.SAY["ru"][name][:1]}
        values.append({**value, "when": {"kind": kind, "of": of}} if kind else value)
    return [{"kind": "motion", "values": values}]


def music():
    near = {"calm": "calm quiet still тих спокой", "happy": "happy joy merry рад весел счаст", "sad": "sad grief tears груст печал слез слёз",
            "tense": "tense fear danger тревог страх опас", "epic": "epic hero battle эпич геро битв",
            "mysterious": "myster secret remember memory тайн загад помн памят", "energetic": "energ fast run быстр бег энерг",
            "dreamy": "dream sleep сон сны мечт"}
    moods = json.loads((ROOT / "ink-music" / "sumi.json").read_text())["moods"]
    return [{"kind": "mood", "values": [{"name": m, "near": near[m].split()} for m in moods]}]


def main():
    for name, kinds in (("ink", picture()), ("ink-motion", moving()), ("ink-music", music())):
        rows = ",\n".join('  {"kind": "%s", "values": [\n%s\n  ]}' % (k["kind"], ",\n".join(
            "    " + json.dumps(v, ensure_ascii=False) for v in k["values"])) for k in kinds)
        (ROOT / name / "words.json").write_text('{"kinds": [\n%s\n]}\n' % rows)


main()
