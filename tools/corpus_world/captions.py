# captions.py: says in English or Russian what a landscape is. A small grammar: two or three synonyms for each attribute, shuffled
# order, attributes left out at random.
from .attributes import from_codes

KIND = {
    "en": {
        "mountains": ["mountains", "a mountain range", "rocky peaks"],
        "lake": ["mountains around a lake", "a mountain lake", "a lake among peaks"],
        "dunes": ["dunes", "a desert of sand dunes", "sand dunes"],
        "coast": ["a coast", "a coastline with a beach", "the shore of a sea"],
        "islands": ["islands", "an archipelago", "islands in the sea"],
        "canyon": ["a canyon", "a deep canyon", "red rock canyon"],
        "volcano": ["a volcano", "a volcano with lava", "a smoking volcano"],
        "valley": ["a river valley", "a valley with a river", "a river between hills"],
        "fields": ["fields", "fields with woods", "farmland with groves"],
        "craters": ["craters", "a cratered moon", "a moon landscape with craters"],
    },
    "ru": {
        "mountains": ["горы", "горный хребет", "скалистые вершины"],
        "lake": ["горы вокруг озера", "горное озеро", "озеро среди вершин"],
        "dunes": ["дюны", "песчаная пустыня с барханами", "песчаные дюны"],
        "coast": ["побережье", "берег моря с пляжем", "морской берег"],
        "islands": ["острова", "архипелаг", "острова в море"],
        "canyon": ["каньон", "глубокий каньон", "каньон из красных скал"],
        "volcano": ["вулкан", "вулкан с лавой", "дымящийся вулкан"],
        "valley": ["долина реки", "долина с рекой", "река между холмами"],
        "fields": ["поля", "поля с рощами", "пашни и перелески"],
        "craters": ["кратеры", "луна в кратерах", "лунный пейзаж с кратерами"],
    },
}
HOUR = {
    "en": {"dawn": ["at dawn", "sunrise", "early morning"], "day": ["at noon", "by day", "daytime"],
           "sunset": ["at sunset", "sunset", "evening glow"], "night": ["at night", "night", "under the moon"]},
    "ru": {"dawn": ["на рассвете", "восход солнца", "ранним утром"], "day": ["в полдень", "днём", "день"],
           "sunset": ["на закате", "закат", "вечерняя заря"], "night": ["ночью", "ночь", "под луной"]},
}
SEASON = {
    "en": {"spring": ["in spring", "spring", "in bloom"], "summer": ["in summer", "summer", "green summer"],
           "autumn": ["in autumn", "autumn", "autumn colours"], "winter": ["in winter", "snowy", "snow-covered"]},
    "ru": {"spring": ["весной", "весна", "в цвету"], "summer": ["летом", "лето", "зелёное лето"],
           "autumn": ["осенью", "осень", "осенние краски"], "winter": ["зимой", "в снегу", "под снегом"]},
}
WEATHER = {
    "en": {"clear": ["clear sky", "clear weather"], "fog": ["in fog", "fog", "misty"], "rain": ["in the rain", "rain", "rainy"]},
    "ru": {"clear": ["ясно", "ясная погода"], "fog": ["в тумане", "туман", "дымка"], "rain": ["под дождём", "дождь", "дождливо"]},
}
PALETTE = {
    "en": {"golden": ["golden tones", "warm golden palette", "amber colours"],
           "blue": ["blue tones", "cold blue palette", "shades of blue"],
           "violet": ["violet tones", "purple palette", "shades of violet"],
           "mono": ["black and white", "monochrome", "grey tones"]},
    "ru": {"golden": ["золотые тона", "тёплая золотая палитра", "янтарные цвета"],
           "blue": ["синие тона", "холодная синяя палитра", "оттенки синего"],
           "violet": ["фиолетовые тона", "пурпурная палитра", "оттенки фиолетового"],
           "mono": ["чёрно-белое", "монохром", "серые тона"]},
}
WORDS = {"hour": HOUR, "season": SEASON, "weather": WEATHER, "palette": PALETTE}
NATURAL_ORDER = ["season", "kind", "weather", "hour", "palette"]


def _pick(rng, words):
    return words[int(rng.integers(len(words)))]


def caption(attrs, rng, lang=None, keep=0.75):
    """A caption and the set of attributes that it names. keep: how often a nameable attribute is named (1: always, and the landform
    too, which else one in eight leaves out: what an hour looks like is to be learnt apart from where)."""
    lang = lang or ("en" if rng.random() < 0.5 else "ru")
    parts = {"kind": _pick(rng, KIND[lang][attrs["kind"]])}
    for name, words in WORDS.items():
        value = attrs[name]
        if value in words[lang] and rng.random() < (keep if value != "clear" else keep * 0.5):
            parts[name] = _pick(rng, words[lang][value])
    if keep < 1 and len(parts) > 1 and rng.random() < 0.125:
        del parts["kind"]
    order = [k for k in NATURAL_ORDER if k in parts]
    if rng.random() < 0.5:
        rng.shuffle(order)
        return ", ".join(parts[k] for k in order), set(parts)
    text = " ".join(parts[k] for k in order if k != "palette")   # one phrase: "snowy mountains around a lake at dawn"
    return text + (", " + parts["palette"] if "palette" in parts else ""), set(parts)


def caption_from_codes(codes, rng, lang=None, keep=0.75):
    return caption(from_codes(codes), rng, lang, keep)
