# captions.py: says in English or Russian what a picture shows: one to three of something, or two subjects and how they stand, with
# style, weather, hour and palette. Two or three synonyms for each, shuffled order, attributes left out at random. What is left of
# something may be told from the other side; Russian nouns, numerals and adjectives agree.
from corpus import captions as old

from .attributes import COUNTED, from_codes

# Of each synonym: with its article, and the plural.
EN = {
    "mountains": [("mountains", ""), ("a mountain range", "")], "sea": [("the sea", ""), ("sea", "")], "forest": [("a forest", ""), ("fir woods", "")],
    "city": [("a city", ""), ("a city skyline", ""), ("skyscrapers", "")], "desert": [("a desert", ""), ("desert dunes", "")], "waterfall": [("a waterfall", "")],
    "bridge": [("a bridge", ""), ("a stone bridge", "")], "spaceport": [("a space port", "")], "lighthouse": [("a lighthouse", "")],
    "tree": [("a tree", "trees")], "easel": [("an easel", ""), ("an apple on an easel", "")], "inkglass": [("a glass of ink", ""), ("an ink drop in a glass of water", "")],
    "cat": [("a cat", "cats"), ("a kitten", "kittens")], "bird": [("a bird", "birds")], "fish": [("a fish", "fish")], "horse": [("a horse", "horses")],
    "person": [("a person", "people"), ("a walker", "walkers"), ("a traveller", "travellers")], "boat": [("a boat", "boats"), ("a sailing boat", "sailing boats"), ("a sailboat", "sailboats")],
    "castle": [("a castle", ""), ("a fortress", "")], "train": [("a train", ""), ("a steam train", "")], "flower": [("a flower", "flowers")],
    "moon": [("the moon", ""), ("a full moon", "")], "windmill": [("a windmill", "windmills")],
    "balloon": [("a balloon", "balloons"), ("a hot-air balloon", "hot-air balloons")],
}
# Of each synonym: nominative, genitive, instrumental, gender (p: plural), after two, genitive plural.
RU = {
    "mountains": [("горы", "гор", "горами", "p")], "sea": [("море", "моря", "морем", "n")], "forest": [("лес", "леса", "лесом", "m")],
    "city": [("город", "города", "городом", "m"), ("небоскрёбы", "небоскрёбов", "небоскрёбами", "p")], "desert": [("пустыня", "пустыни", "пустыней", "f"), ("барханы", "барханов", "барханами", "p")],
    "waterfall": [("водопад", "водопада", "водопадом", "m")], "bridge": [("мост", "моста", "мостом", "m"), ("каменный мост", "каменного моста", "каменным мостом", "m")],
    "spaceport": [("космопорт", "космопорта", "космопортом", "m")], "lighthouse": [("маяк", "маяка", "маяком", "m")],
    "tree": [("дерево", "дерева", "деревом", "n", "дерева", "деревьев")],
    "easel": [("мольберт", "мольберта", "мольбертом", "m"), ("яблоко на мольберте", "яблока на мольберте", "яблоком на мольберте", "n")],
    "inkglass": [("стакан с чернилами", "стакана с чернилами", "стаканом с чернилами", "m"), ("капля чернил в стакане воды", "капли чернил в стакане воды", "каплей чернил в стакане воды", "f")],
    "cat": [("кошка", "кошки", "кошкой", "f", "кошки", "кошек"), ("кот", "кота", "котом", "m", "кота", "котов")], "bird": [("птица", "птицы", "птицей", "f", "птицы", "птиц")],
    "fish": [("рыба", "рыбы", "рыбой", "f", "рыбы", "рыб"), ("рыбка", "рыбки", "рыбкой", "f", "рыбки", "рыбок")],
    "horse": [("лошадь", "лошади", "лошадью", "f", "лошади", "лошадей"), ("конь", "коня", "конём", "m", "коня", "коней")],
    "person": [("человек", "человека", "человеком", "m", "человека", "человек"), ("путник", "путника", "путником", "m", "путника", "путников")],
    "boat": [("парусник", "парусника", "парусником", "m", "парусника", "парусников"), ("лодка", "лодки", "лодкой", "f", "лодки", "лодок"),
             ("лодка с парусом", "лодки с парусом", "лодкой с парусом", "f", "лодки с парусом", "лодок с парусом")],
    "castle": [("замок", "замка", "замком", "m"), ("крепость", "крепости", "крепостью", "f")], "train": [("поезд", "поезда", "поездом", "m"), ("паровоз", "паровоза", "паровозом", "m")],
    "flower": [("цветок", "цветка", "цветком", "m", "цветка", "цветков")], "moon": [("луна", "луны", "луной", "f"), ("полная луна", "полной луны", "полной луной", "f")],
    "windmill": [("мельница", "мельницы", "мельницей", "f", "мельницы", "мельниц"), ("ветряная мельница", "ветряной мельницы", "ветряной мельницей", "f", "ветряные мельницы", "ветряных мельниц")],
    "balloon": [("воздушный шар", "воздушного шара", "воздушным шаром", "m", "воздушных шара", "воздушных шаров")],
}
# What else may be said of one that is alone.
ALONE = {
    "en": {**{k: old.SUBJECT["en"][k] for k in ("mountains", "forest", "city", "desert", "lighthouse", "tree", "spaceport", "easel", "inkglass")},
           "sea": ["ocean waves", "waves of the sea", "a rolling sea"], "waterfall": ["a waterfall in the rocks", "waterfall between cliffs"],
           "bridge": ["a bridge over a river", "stone bridge"], "cat": ["a sitting cat"], "bird": ["a flying bird", "a bird in the sky"], "fish": ["a fish under water"],
           "horse": ["a horse in a meadow"], "person": ["a person from afar", "a lone walker"], "boat": ["a sailing boat on the water", "the sea with a sailing boat"],
           "castle": ["an old castle", "castle with towers"], "train": ["a train with smoke", "a steam engine"], "flower": ["a large flower"],
           "moon": ["the full moon in the sky"], "windmill": ["an old windmill"], "balloon": ["a hot-air balloon in the sky"]},
    "ru": {**{k: old.SUBJECT["ru"][k] for k in ("mountains", "forest", "city", "desert", "lighthouse", "tree", "spaceport", "easel", "inkglass")},
           "sea": ["морские волны", "волны на море", "бурное море"], "waterfall": ["водопад в скалах", "водопад среди утёсов"],
           "bridge": ["мост через реку", "каменный мост"], "cat": ["сидящая кошка"], "bird": ["летящая птица", "птица в небе"], "fish": ["рыба под водой"],
           "horse": ["лошадь на лугу"], "person": ["человек вдалеке", "одинокий путник"], "boat": ["парусник на воде", "море и парусник"],
           "castle": ["старый замок", "замок с башнями"], "train": ["поезд с дымом", "паровоз с вагоном"], "flower": ["большой цветок"],
           "moon": ["полная луна в небе"], "windmill": ["старая мельница"], "balloon": ["воздушный шар в небе"]},
}
ON = {
    "en": {"bridge": ["on a bridge", "on the bridge"], "mountains": ["on a mountain", "on a mountain top"], "castle": ["on a castle", "on a castle wall"],
           "tree": ["on a tree", "on top of a tree"], "boat": ["on a boat", "on a sailing boat"], "lighthouse": ["on a lighthouse", "on top of a lighthouse"],
           "windmill": ["on a windmill"], "horse": ["on a horse", "on horseback"], "train": ["on a train", "on top of a train"], "sea": ["on the sea", "on the waves"]},
    "ru": {"bridge": ["на мосту", "на каменном мосту"], "mountains": ["на горе", "на вершине горы"], "castle": ["на замке", "на стене замка"],
           "tree": ["на дереве", "на верхушке дерева"], "boat": ["на лодке", "на паруснике"], "lighthouse": ["на маяке", "на крыше маяка"],
           "windmill": ["на мельнице", "на крыше мельницы"], "horse": ["на лошади", "верхом на лошади"], "train": ["на поезде", "на крыше вагона"], "sea": ["на море", "на волнах"]},
}
STYLE = {
    "en": {**old.STYLE["en"], "linocut": ["linocut", "lino print", "as a woodcut"], "glass": ["stained glass", "as stained glass", "stained-glass window"]},
    "ru": {**old.STYLE["ru"], "linocut": ["линогравюра", "гравюра", "ксилография"], "glass": ["витраж", "в виде витража", "витражное стекло"]},
}
OF = {"watercolour": ["a watercolour of", "watercolor painting of"], "ink": ["an ink wash painting of", "ink drawing of"], "oil": ["an oil painting of"], "pixel": ["pixel art of"],
      "neon": ["neon sign of", "neon lines of"], "pencil": ["a pencil drawing of", "pencil sketch of"], "linocut": ["a linocut of", "a woodcut of"], "glass": ["a stained glass window of"]}
ADJECTIVE = {"watercolour": "акварельн", "pixel": "пиксельн", "neon": "неонов", "pencil": "карандашн", "glass": "витражн"}
ENDING = {"m": "ый", "f": "ая", "n": "ое", "p": "ые"}
WORDS = {"style": STYLE, "time": old.TIME, "weather": old.WEATHER, "palette": old.PALETTE}
NATURAL_ORDER = ["style", "subject", "weather", "time", "palette"]


def _pick(rng, words):
    return words[int(rng.integers(len(words)))]


def _english(rng, name, count):
    one, many = _pick(rng, EN[name])
    if count and count > 1:
        return ("two", "three")[count - 2] + " " + many
    if count and rng.random() < 0.25:
        return _pick(rng, ["one ", "a single "]) + one.split(" ", 1)[1]
    return one


def _russian(rng, name, count, case=0, adjective=None):
    """case: 0 nominative, 1 genitive, 2 instrumental (of one)."""
    word = _pick(rng, RU[name])
    gender = word[3]
    if count and count > 1:
        if case == 1:
            return ("двух", "трёх")[count - 2] + " " + word[5]
        number = (("две" if gender == "f" else "два"), "три")[count - 2]
        between = f" {adjective}{'ые' if gender == 'f' else 'ых'} " if adjective else " "
        return number + between + word[4]
    if adjective:
        return adjective + ENDING[gender] + " " + word[0]
    if count and case == 0 and rng.random() < 0.2:
        return {"m": "один ", "f": "одна ", "n": "одно "}[gender] + word[0]
    return word[case]


def _beside(rng, lang, a, b, n):
    """a is left of b."""
    if lang == "en":
        x, y = _english(rng, a, n), _english(rng, b, None)
        return _pick(rng, [f"{x} to the left of {y}", f"{x} left of {y}", f"{y} to the right of {x}", f"{y} right of {x}", f"{x} on the left, {y} on the right"])
    return _pick(rng, [f"{_russian(rng, a, n)} слева от {_russian(rng, b, None, 1)}", f"{_russian(rng, b, None)} справа от {_russian(rng, a, n, 1)}",
                       f"слева {_russian(rng, a, n)}, справа {_russian(rng, b, None)}"])


def _on(rng, lang, a, b, n):
    return (_english(rng, a, n) if lang == "en" else _russian(rng, a, n)) + " " + _pick(rng, ON[lang][b])


def _behind(rng, lang, a, b, n):
    """a is behind b."""
    if lang == "en":
        x, y = _english(rng, a, n), _english(rng, b, None)
        return _pick(rng, [f"{x} behind {y}", f"{y} in front of {x}", f"{y} with {x} behind"])
    return _pick(rng, [f"{_russian(rng, a, n)} позади {_russian(rng, b, None, 1)}", f"{_russian(rng, a, n)} за {_russian(rng, b, None, 2)}",
                       f"{_russian(rng, b, None)} на фоне {_russian(rng, a, n, 1)}", f"{_russian(rng, b, None)} перед {_russian(rng, a, None, 2)}"])


RELATE = {"left": _beside, "on": _on, "behind": _behind}


def _alone(rng, lang, name, n, adjective):
    if adjective:
        return _russian(rng, name, n, 0, adjective)
    if n in (None, 1) and rng.random() < 0.5:
        return _pick(rng, ALONE[lang][name])
    return (_english if lang == "en" else _russian)(rng, name, n)


def caption(attrs, rng, lang=None, keep=0.75):
    """A caption and the set of attributes that it names. keep: how often a nameable attribute is named."""
    lang = lang or ("en" if rng.random() < 0.5 else "ru")
    parts, named = {}, {"subject"}
    for kind, words in WORDS.items():
        value = attrs[kind]
        if value in words[lang] and rng.random() < (keep if value != "clear" else keep * 0.5):
            parts[kind] = _pick(rng, words[lang][value])
    named |= set(parts)
    alone, n = attrs["relation"] == "alone", attrs["count"]
    adjective = ADJECTIVE.get(attrs["style"]) if lang == "ru" and alone and "style" in parts and rng.random() < 0.3 else None
    if alone:
        parts["subject"] = _alone(rng, lang, attrs["subject"], n, adjective)
    else:
        named |= {"second", "relation"}
        parts["subject"] = RELATE[attrs["relation"]](rng, lang, attrs["subject"], attrs["second"], n)
    if attrs["subject"] in COUNTED:
        named.add("count")
    if adjective:
        del parts["style"]
    elif lang == "en" and "style" in parts and rng.random() < 0.25:
        parts["subject"] = _pick(rng, OF[attrs["style"]]) + " " + parts["subject"]
        del parts["style"]
    kinds = [k for k in NATURAL_ORDER if k in parts]
    if rng.random() < 0.5:
        rng.shuffle(kinds)
        text = ", ".join(parts[k] for k in kinds)
    else:                                             # one phrase, palette after a comma: "watercolour mountains in fog"
        text = " ".join(parts[k] for k in kinds if k != "palette")
        text += ", " + parts["palette"] if "palette" in parts else ""
    return text, named


def caption_from_codes(codes, rng, lang=None, keep=0.75):
    return caption(from_codes(codes), rng, lang, keep)
