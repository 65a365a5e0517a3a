// What the page says, in two languages.
const english = {
  skip: "To the gallery", theme: "Light or dark", leave: "Sign out", door: "A key, please", key: "Key", enter: "Enter", make: "Make something",
  kind: "Kind", prompt: "Prompt", go: "Make", drafts: "Five drafts", model: "Model", size: "Size", enlarge: "Enlarge", mood: "Mood", duration: "Seconds",
  fast: "Draft", more: "More", negative: "What it shall not show", count: "Variants", seed: "Seed", steps: "Steps", guidance: "Guidance",
  sampler: "Sampler", frames: "Frames", loop: "The end joins the beginning", queue: "In the works", gallery: "Made", search: "Search in prompts",
  close: "Close", keys: "← → another one · C compare · F favourite · Esc close", two: "Two beside each other", share: "Share of the left one",
  swap: "Swap", beside: "Side by side", image: "Picture", video: "Video", audio: "Music", film: "Film", all: "Everything", own: "the model's own",
  cancel: "Cancel", cancelOf: "Cancel {0}", waiting: "waits", running: "is made", step: "step {0} of {1}", pause: "Pause", resume: "Go on",
  paused: "The queue is paused.", idle: "Ready; workers: {0}.", busy: "{0} waiting, {1} being made.", nobody: "No worker is there: is sumid running?",
  lost: "The connection is lost; it is tried again.", back: "Connected again.", none: "Nothing yet. What you make is kept here.",
  found: "Nothing fits.", ends: "That is all.", reuse: "Use its settings", onlyPrompt: "Use its prompt", onlySeed: "Use its seed",
  whole: "Paint it whole", other: "Another seed", save: "Save", mark: "Compare", marked: "Choose another one to compare with", compareNow: "Compare the two",
  sent: "Sent.", notSent: "It was not sent: the connection is lost.", done: "Done: {0}", failed: "Failed: {0}", variant: "variant {0}", created: "Made", state: "State", wave: "The waveform of this clip",
  wrongKey: "This key is none, or has been revoked.", noModel: "no model", previous: "The one before", next: "The next one",
  tag: "Tag", tags: "Tags, separated by commas", keep: "Keep", favourites: "Favourites", star: "☆ Favourite", isStarred: "★ Favourite", unstarred: "No favourite any more",
  starred: "favourite", withTag: "All with the tag {0}", anyModel: "Every model", remove: "Delete", deleted: "Deleted.", deletedAll: "Deleted: {0} of one job.",
  notDeleted: "It could not be deleted.", restored: "It is back.", undo: "Undo", draftsOf: "Drafts", draft: "Draft {0}, not made yet", pick: "Pick one to go on with.",
  look: "Look closer", similar: "Five like it", stop: "Stop", play: "Play", spectrogram: "The spectrogram of this clip", scheduler: "Spacing of steps",
  takeOne: "Into the box: {0}", without: "Without {0}", noMood: "none", letters: "Keys of one letter", width: "Width", height: "Height",
  world: "Landscape", landscape: "a landscape of {0} × {1} metres, {2} from its lowest place to its highest;", water: "water stands {0} above the lowest.",
  noWater: "there is no water.", goAround: "Go around it", left: "To the left", right: "To the right", up: "From higher up", down: "From lower down",
  nearer: "Nearer", farther: "Farther away", front: "As at the beginning", turnRound: "Let it turn", turntable: "Make a turntable of it", seenFrom: "Seen from the {0}, {1}° above the ground.",
  south: "south", southEast: "south-east", east: "east", northEast: "north-east", north: "north", northWest: "north-west", west: "west", southWest: "south-west",
  worldKeys: "Arrows turn and tilt it, + and − come nearer and go away, Home leads back, the space bar lets it turn.",
  noWebgl: "This browser draws no landscapes (WebGL 2): these are its colours from above.", lostWebgl: "The system has taken the drawing away: these are its colours from above.",
  noLandscape: "This file is no landscape: it is no binary of glTF 2.0.", cutOff: "This landscape is cut off: {0} of its {1} bytes are there.",
  badPart: "This landscape is damaged: its {0} cannot be drawn.", notFetched: "The landscape does not come: {0}",
  calm: "calm", happy: "happy", sad: "sad", tense: "tense", epic: "epic", mysterious: "mysterious", energetic: "energetic", dreamy: "dreamy",
  refused400: "{0}", refused401: "{0}", refused403: "{0}", refused404: "{0}", refused409: "{0}", refused413: "{0}", refused429: "{0}", refused500: "{0}", refused503: "{0}",
}
const russian = {
  skip: "К галерее", theme: "Светлая или тёмная", leave: "Выйти", door: "Нужен ключ", key: "Ключ", enter: "Войти", make: "Создать",
  kind: "Что", prompt: "Описание", go: "Создать", drafts: "Пять набросков", model: "Модель", size: "Размер", enlarge: "Увеличить", mood: "Настроение", duration: "Секунды",
  fast: "Набросок", more: "Ещё", negative: "Чего не должно быть", count: "Варианты", seed: "Зерно", steps: "Шаги", guidance: "Вес описания",
  sampler: "Сэмплер", frames: "Кадры", loop: "Конец переходит в начало", queue: "В работе", gallery: "Готово", search: "Искать в описаниях",
  close: "Закрыть", keys: "← → другая · C сравнить · F избранное · Esc закрыть", two: "Две рядом", share: "Доля левой",
  swap: "Поменять", beside: "Рядом", image: "Картина", video: "Видео", audio: "Музыка", film: "Фильм", all: "Всё", own: "как у модели",
  cancel: "Отменить", cancelOf: "Отменить {0}", waiting: "ждёт", running: "создаётся", step: "шаг {0} из {1}", pause: "Пауза", resume: "Дальше",
  paused: "Очередь остановлена.", idle: "Готов; работников: {0}.", busy: "Ждут: {0}, создаются: {1}.", nobody: "Нет работника: запущен ли sumid?",
  lost: "Связь потеряна, пробуем снова.", back: "Связь восстановлена.", none: "Пока пусто. Созданное останется здесь.",
  found: "Ничего не нашлось.", ends: "Это всё.", reuse: "Взять настройки", onlyPrompt: "Взять описание", onlySeed: "Взять зерно",
  whole: "Написать целиком", other: "Другое зерно", save: "Сохранить", mark: "Сравнить", marked: "Выберите вторую для сравнения", compareNow: "Сравнить две",
  sent: "Отправлено.", notSent: "Не отправлено: связь потеряна.", done: "Готово: {0}", failed: "Не удалось: {0}", variant: "вариант {0}", created: "Создано", state: "Состояние", wave: "Форма волны",
  wrongKey: "Такого ключа нет, или он отозван.", noModel: "нет модели", previous: "Предыдущая", next: "Следующая",   tag: "Метка", tags: "Метки через запятую", keep: "Сохранить", favourites: "Избранное", star: "☆ В избранное", isStarred: "★ В избранном", unstarred: "Больше не в избранном",
  starred: "в избранном", withTag: "Всё с меткой {0}", anyModel: "Все модели", remove: "Удалить", deleted: "Удалено.", deletedAll: "Удалено: {0} одного задания.",
  notDeleted: "Удалить не удалось.", restored: "Возвращено.", undo: "Вернуть", draftsOf: "Наброски", draft: "Набросок {0}, ещё не готов", pick: "Выберите, с каким продолжать.",
  look: "Рассмотреть", similar: "Пять похожих", stop: "Стоп", play: "Пуск", spectrogram: "Спектрограмма", scheduler: "Шаг по шуму",
  takeOne: "В поля: {0}", without: "Без {0}", noMood: "нет", letters: "Клавиши из одной буквы", width: "Ширина", height: "Высота",
  world: "Ландшафт", landscape: "ландшафт {0} × {1} метров, {2} от низшего места до высшего;", water: "вода стоит на {0} выше низшего.",
  noWater: "воды нет.", goAround: "Обойти его", left: "Влево", right: "Вправо", up: "Выше", down: "Ниже",
  nearer: "Ближе", farther: "Дальше", front: "Как в начале", turnRound: "Пусть вращается", turntable: "Сделать вращение", seenFrom: "Вид с {0}, {1}° над землёй.",
  south: "юга", southEast: "юго-востока", east: "востока", northEast: "северо-востока", north: "севера", northWest: "северо-запада", west: "запада", southWest: "юго-запада",
  worldKeys: "Стрелки поворачивают и наклоняют, + и − приближают и удаляют, Home возвращает, пробел вращает.",
  noWebgl: "Этот браузер не рисует ландшафты (WebGL 2): вот его цвета сверху.", lostWebgl: "Система отняла рисунок: вот его цвета сверху.",
  noLandscape: "Этот файл не ландшафт: он не двоичный glTF 2.0.", cutOff: "Ландшафт обрезан: есть {0} из {1} байт.",
  badPart: "Ландшафт повреждён: {0} не нарисовать.", notFetched: "Ландшафт не приходит: {0}",
  calm: "спокойное", happy: "весёлое", sad: "грустное", tense: "напряжённое", epic: "эпическое", mysterious: "таинственное", energetic: "энергичное", dreamy: "мечтательное",
  refused400: "Так не выйдет: {0}", refused401: "Нужен ключ, или он отозван.", refused403: "Этому ключу такое не разрешено.", refused404: "Не найдено: {0}", refused409: "Уже поздно: {0}", refused413: "Слишком много данных: {0}", refused429: "Слишком много сразу: подождите немного.", refused500: "Ошибка на сервере: {0}", refused503: "Очередь не отвечает: попробуйте позже.",
}

export const languages = { en: english, ru: russian }
export let language = localStorage.getItem("language") ?? (navigator.language.startsWith("ru") ? "ru" : "en")

export function say(word, ...values) {
  const text = languages[language][word] ?? english[word] ?? word
  return values.reduce((t, v, i) => t.replace(`{${i}}`, () => v), text)
}

/* Puts the words into what the document has. */
export function translate(to = language) {
  language = to
  localStorage.setItem("language", to)
  document.documentElement.lang = to
  for (const e of document.querySelectorAll("[data-word]")) e.textContent = say(e.dataset.word)
  for (const e of document.querySelectorAll("[data-label]")) e.setAttribute("aria-label", say(e.dataset.label))
  for (const e of document.querySelectorAll("[data-hint]")) e.placeholder = say(e.dataset.hint)
}
