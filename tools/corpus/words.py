# words.py: what the packs in the box can paint, for `sumi script`: words.json of each pack (docs/packs-format.md), made of what the
# captions of their corpora say. `python -m tools.corpus.words` writes them.
import json, pathlib, sys

from . import attributes, captions, motion

ROOT = pathlib.Path(__file__).resolve().parents[2] / "models"
sys.path.insert(0, str(ROOT.parent / "tools"))  # corpus_world
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
            "mysterious": "myster secret remember memory тайн загад помн вспом воспом памят", "energetic": "energ fast run быстр бег энерг",
            "dreamy": "dream sleep сон сны мечт"}
    moods = json.loads((ROOT / "ink-music" / "sumi.json").read_text())["moods"]
    return [{"kind": "mood", "values": [{"name": m, "near": near[m].split()} for m in moods]}]


# Landforms by the same beginnings where they are subjects of pictures too.
LAND_NEAR = {
    "subject": {
        "mountains": NEAR["subject"]["mountains"], "lake": "lake tarn озер озёр", "dunes": NEAR["subject"]["desert"].replace(" cactus", "").replace(" кактус", ""),
        "coast": "coast shore beach sea побереж берег пляж мор", "islands": "island archipelago остров архипелаг",
        "canyon": "canyon gorge каньон ущель", "volcano": "volcan lava вулкан лав", "valley": "valley river долин рек",
        "fields": "field farm meadow поля пашн", "craters": "crater moon lunar кратер лун"},
    "time": NEAR["time"], "weather": NEAR["weather"], "palette": NEAR["palette"],
    "season": {"spring": "spring весн", "summer": "summer лет", "autumn": "autumn fall осен", "winter": "winter snow зим снег"},
}


def landscape():
    from corpus_world import attributes as a, captions as c
    out = []
    for kind, words in (("season", c.SEASON), ("subject", c.KIND), ("weather", c.WEATHER), ("time", c.HOUR), ("palette", c.PALETTE)):
        values = []
        for name in words["en"]:
            value = {"name": name, "en": words["en"][name][:SHOWN], "ru": words["ru"][name][:SHOWN], "near": LAND_NEAR[kind][name].split()}
            without = [k for k, has in (("season", a.SEASONAL), ("weather", [k for k in a.KINDS if k not in a.AIRLESS])) if kind == "subject" and name not in has]
            values.append({**value, "without": without} if without else value)
        out.append({"kind": kind, "values": values})
    return out


def main():
    for name, kinds in (("ink", picture()), ("ink-motion", moving()), ("ink-music", music()), ("ink-world", landscape())):
        rows = ",\n".join('  {"kind": "%s", "values": [\n%s\n  ]}' % (k["kind"], ",\n".join(
            "    " + json.dumps(v, ensure_ascii=False) for v in k["values"])) for k in kinds)
        (ROOT / name / "words.json").write_text('{"kinds": [\n%s\n]}\n' % rows)


main()
