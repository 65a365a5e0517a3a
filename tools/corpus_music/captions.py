# captions.py: says in English or Russian how a clip sounds. A small grammar: synonyms for each attribute, several sentence shapes,
# attributes left out at random. Russian adjectives agree with the noun they stand by.
from . import attributes as A

MOOD = {
    "en": {
        "calm": ["calm", "peaceful", "relaxing", "gentle"],
        "happy": ["happy", "cheerful", "joyful", "merry"],
        "sad": ["sad", "sorrowful", "melancholic", "mournful"],
        "tense": ["tense", "anxious", "nervous", "suspenseful"],
        "epic": ["epic", "heroic", "majestic", "grand"],
        "mysterious": ["mysterious", "enigmatic", "eerie", "strange"],
        "energetic": ["energetic", "driving", "lively", "powerful"],
        "dreamy": ["dreamy", "ethereal", "floating", "ambient"],
    },
    # The stem, and the endings for feminine, neuter and plural nouns.
    "ru": {
        "calm": ["спокойн", "умиротворённ", "расслабляющ", "мирн"],
        "happy": ["весёл", "радостн", "счастлив", "жизнерадостн"],
        "sad": ["грустн", "печальн", "меланхоличн", "скорбн"],
        "tense": ["тревожн", "напряжённ", "беспокойн", "нервн"],
        "epic": ["эпическ", "героическ", "величественн", "торжественн"],
        "mysterious": ["таинственн", "загадочн", "странн", "мистическ"],
        "energetic": ["энергичн", "бодр", "мощн", "драйвов"],
        "dreamy": ["мечтательн", "воздушн", "неземн", "парящ"],
    },
}
ENDINGS = {"f": "ая", "n": "ое", "p": "ые"}


def adjective(stem, gender):
    """Russian: hard stems in -ая, -ое, -ые; after к plurals end in -ие, after щ all but the feminine are soft."""
    if stem.endswith("щ"):
        return stem + {"f": "ая", "n": "ее", "p": "ие"}[gender]
    return stem + ("ие" if gender == "p" and stem.endswith("к") else ENDINGS[gender])


INSTRUMENT = {
    "en": {
        "piano": ["piano"], "strings": ["strings", "violins", "string ensemble"], "guitar": ["guitar", "acoustic guitar"],
        "flute": ["flute"], "pad": ["synth pad", "synthesizer", "synth"], "bells": ["bells", "chimes"], "drums": ["drums", "percussion"],
    },
    # (by itself, its gender, "played on")
    "ru": {
        "piano": [("пианино", "n", "на пианино"), ("фортепиано", "n", "на фортепиано")],
        "strings": [("струнные", "p", "на струнных"), ("скрипки", "p", "на скрипках")],
        "guitar": [("гитара", "f", "на гитаре"), ("акустическая гитара", "f", "на акустической гитаре")],
        "flute": [("флейта", "f", "на флейте")],
        "pad": [("синтезаторы", "p", "на синтезаторе"), ("синтезаторная подложка", "f", "на синтезаторе")],
        "bells": [("колокольчики", "p", "на колокольчиках"), ("колокола", "p", "на колоколах")],
        "drums": [("барабаны", "p", "на барабанах"), ("ударные", "p", "на ударных")],
    },
}
WITH_DRUMS = {"en": ["with drums", "with percussion"], "ru": ["с барабанами", "с ударными"]}
SPEED = {
    "en": {"slow": ["slow", "slow tempo"], "moderate": ["moderate tempo", "medium tempo"], "fast": ["fast", "fast tempo"]},
    "ru": {"slow": ["медленно", "медленный темп"], "moderate": ["умеренный темп", "средний темп"], "fast": ["быстро", "быстрый темп"]},
}
KEY = {
    "en": {k: [k] for k in A.KEYS},
    "ru": dict(zip(A.KEYS, [["до"], ["до диез"], ["ре"], ["ми бемоль"], ["ми"], ["фа"], ["фа диез"], ["соль"], ["ля бемоль"], ["ля"],
                            ["си бемоль"], ["си"]])),
}
MODE = {"en": ("major", "minor"), "ru": ("мажор", "минор")}
NOUN = {"en": ["music", "melody", "tune", "loop"], "ru": ["музыка", "мелодия"]}


def _pick(rng, words):
    return words[int(rng.integers(len(words)))]


def beats_a_minute(n, lang):
    if lang == "en":
        return f"{n} bpm"
    word = "ударов" if n % 10 in (0, 5, 6, 7, 8, 9) or 11 <= n % 100 <= 14 else "удар" if n % 10 == 1 else "удара"
    return f"{n} {word} в минуту"


def _english(attrs, names, mood, rng):
    """Who plays what: "calm piano", "piano and flute, calm", "a sad melody on the guitar"."""
    words = [_pick(rng, INSTRUMENT["en"][n]) for n in names]
    if not words:
        return f"{mood} {_pick(rng, NOUN['en'])}".strip()
    shape, together = int(rng.integers(4)), " and ".join(words)
    if shape == 0 or not mood:
        return f"{mood} {together}".strip()
    if shape == 1:
        return f"{mood} {together} {_pick(rng, NOUN['en'])}"
    if shape == 2:
        return f"{mood} {_pick(rng, NOUN['en'])}, {together}"
    return f"{together}, {mood}"


def _russian(attrs, names, stem, rng):
    words = [_pick(rng, INSTRUMENT["ru"][n]) for n in names]
    noun = _pick(rng, NOUN["ru"])
    if not words:
        return f"{adjective(stem, 'f')} {noun}" if stem else noun
    shape, together = int(rng.integers(3)), " и ".join(w[0] for w in words)
    if not stem:
        return together
    if shape == 0:
        return f"{adjective(stem, 'p' if len(words) > 1 else words[0][1])} {together}"
    if shape == 1:
        return f"{adjective(stem, 'f')} {noun} {' и '.join(w[2] for w in words)}"
    return f"{adjective(stem, 'f')} {noun}, {together}"


def caption(attrs, rng, lang=None, keep=0.85):
    """A caption and the set of attributes that it names: mood, instruments, speed, key. keep: how often a mood or an instrument is
    named; one of the two always is."""
    lang = lang or ("en" if rng.random() < 0.5 else "ru")
    named = {"mood"} if rng.random() < keep else set()
    names = [n for n in dict.fromkeys((attrs["lead"], attrs["back"])) if rng.random() < keep or not named]
    drums = attrs["drums"] and rng.random() < keep
    if drums and (not names or rng.random() < 0.4):
        names, drums = names + ["drums"], False
    mood = _pick(rng, MOOD[lang][attrs["mood"]]) if "mood" in named else ""
    text = (_english if lang == "en" else _russian)(attrs, names, mood, rng)
    text += " " + _pick(rng, WITH_DRUMS[lang]) if drums else ""
    named |= {"instruments"} if names or drums else set()
    extra = []
    if rng.random() < 0.4:
        bpm = beats_a_minute(round(A.tempo(attrs["beats"])), lang)
        extra.append(bpm if rng.random() < 0.4 else _pick(rng, SPEED[lang][A.SPEED[attrs["beats"]]]))
        named.add("speed")
    if rng.random() < 0.2:
        mode = MODE[lang][attrs["mode"] not in A.MAJOR]
        key = f"{_pick(rng, KEY[lang][attrs['key']])} {mode}"
        extra.append(("in " if lang == "en" else "") + key if rng.random() < 0.6 else mode)
        named.add("key")
    rng.shuffle(extra)
    return ", ".join([text] + extra), named


def caption_from_codes(codes, rng, lang=None, keep=0.85):
    return caption(A.from_codes(codes), rng, lang, keep)
