# captions.py: says in English or Russian what a picture shows. A small grammar: two or three synonyms for each attribute,
# shuffled order, attributes left out at random.
from .attributes import from_codes

SUBJECT = {
    "en": {
        "mountains": ["mountains", "mountain ridges", "a mountain range"],
        "sea": ["the sea with a sailing boat", "sea", "a sailboat on the sea", "ocean waves and a sail"],
        "forest": ["a forest", "forest", "a path through a fir forest", "pine woods"],
        "city": ["a city skyline", "city", "skyscrapers by the river", "a city by the water"],
        "desert": ["a desert", "desert dunes", "desert with a cactus", "sand dunes"],
        "lighthouse": ["a lighthouse", "lighthouse on a cliff", "a lighthouse above the sea"],
        "tree": ["a lone tree", "a tree on a hill", "a lonely tree in a meadow"],
        "spaceport": ["a space port in a nebula, a lone ship at the docks", "space port, nebula, lone ship",
                      "a spaceship near a space station in a nebula", "nebula with a space port and a lone ship"],
        "easel": ["an apple on an easel", "a painting of an apple on an easel", "easel with an apple"],
        "inkglass": ["an ink drop in a glass of water", "ink spreading in a glass of water", "a drop of ink in water"],
    },
    "ru": {
        "mountains": ["горы", "горные хребты", "горная гряда"],
        "sea": ["море и парусник", "море", "парусная лодка в море", "морские волны и парус"],
        "forest": ["лес", "тропа в еловом лесу", "хвойный лес"],
        "city": ["городские небоскрёбы", "город", "небоскрёбы у реки", "город у воды"],
        "desert": ["пустыня", "барханы в пустыне", "пустыня с кактусом", "песчаные дюны"],
        "lighthouse": ["маяк", "маяк на утёсе", "маяк над морем"],
        "tree": ["одинокое дерево", "дерево на холме", "одинокое дерево на лугу"],
        "spaceport": ["космический порт в туманности, одинокий корабль у доков",
                      "космопорт, туманность, одинокий корабль", "космический корабль у станции в туманности",
                      "туманность с космическим портом и одиноким кораблём"],
        "easel": ["яблоко на мольберте", "картина с яблоком на мольберте", "мольберт с яблоком"],
        "inkglass": ["капля чернил в стакане воды", "чернила растекаются в стакане воды", "капля туши в воде"],
    },
}
STYLE = {
    "en": {
        "watercolour": ["watercolour", "in watercolour", "watercolor painting"],
        "ink": ["ink wash", "sumi-e", "ink wash painting"],
        "oil": ["oil painting", "in oil", "oil on canvas"],
        "pixel": ["pixel art", "8-bit pixels", "as pixel art"],
        "neon": ["neon", "in neon lines", "glowing neon"],
        "pencil": ["pencil drawing", "in pencil", "pencil sketch"],
    },
    "ru": {
        "watercolour": ["акварель", "акварелью", "акварельный рисунок"],
        "ink": ["тушь", "суми-э", "размывка тушью"],
        "oil": ["масло", "маслом", "масло, холст"],
        "pixel": ["пиксель-арт", "пиксельная графика", "пиксели"],
        "neon": ["неон", "неоновые линии", "неоном"],
        "pencil": ["карандаш", "карандашом", "карандашный рисунок"],
    },
}
TIME = {
    "en": {"dawn": ["at dawn", "sunrise", "early morning"], "day": ["at noon", "by day", "daytime"],
           "sunset": ["at sunset", "sunset", "evening glow"], "night": ["at night", "night", "under the moon"]},
    "ru": {"dawn": ["на рассвете", "восход солнца", "ранним утром"], "day": ["в полдень", "днём", "день"],
           "sunset": ["на закате", "закат", "вечерняя заря"], "night": ["ночью", "ночь", "под луной"]},
}
WEATHER = {
    "en": {"clear": ["clear sky", "clear weather"], "fog": ["in fog", "fog", "misty"],
           "rain": ["in the rain", "rain", "rainy"], "snow": ["in the snow", "snow", "snowfall"]},
    "ru": {"clear": ["ясно", "ясная погода"], "fog": ["в тумане", "туман", "дымка"],
           "rain": ["под дождём", "дождь", "дождливо"], "snow": ["в снегу", "снег", "снегопад"]},
}
PALETTE = {
    "en": {"golden": ["golden tones", "warm golden palette", "amber colours"],
           "blue": ["blue tones", "cold blue palette", "shades of blue"],
           "violet": ["violet tones", "purple palette", "shades of violet"],
           "green": ["green tones", "emerald palette", "shades of green"],
           "mono": ["black and white", "monochrome", "grey tones"]},
    "ru": {"golden": ["золотые тона", "тёплая золотая палитра", "янтарные цвета"],
           "blue": ["синие тона", "холодная синяя палитра", "оттенки синего"],
           "violet": ["фиолетовые тона", "пурпурная палитра", "оттенки фиолетового"],
           "green": ["зелёные тона", "изумрудная палитра", "оттенки зелёного"],
           "mono": ["чёрно-белое", "монохром", "серые тона"]},
}
WORDS = {"style": STYLE, "time": TIME, "weather": WEATHER, "palette": PALETTE}
NATURAL_ORDER = ["style", "subject", "weather", "time", "palette"]


def _pick(rng, words):
    return words[int(rng.integers(len(words)))]


def caption(attrs, rng, lang=None, keep=0.75):
    """A caption and the set of attributes that it names. keep: how often a nameable attribute is named."""
    lang = lang or ("en" if rng.random() < 0.5 else "ru")
    parts = {"subject": _pick(rng, SUBJECT[lang][attrs["subject"]])}
    for kind, words in WORDS.items():
        value = attrs[kind]
        if value in words[lang] and rng.random() < (keep if value != "clear" else keep * 0.5):
            parts[kind] = _pick(rng, words[lang][value])
    kinds = [k for k in NATURAL_ORDER if k in parts]
    if rng.random() < 0.5:
        rng.shuffle(kinds)
        text = ", ".join(parts[k] for k in kinds)
    else:                                             # one phrase, palette after a comma: "watercolour mountains in fog"
        text = " ".join(parts[k] for k in kinds if k != "palette")
        text += ", " + parts["palette"] if "palette" in parts else ""
    return text, set(parts)


def caption_from_codes(codes, rng, lang=None, keep=0.75):
    return caption(from_codes(codes), rng, lang, keep)
