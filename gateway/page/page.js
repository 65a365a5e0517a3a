// The page: prompt box, live queue, drafts, gallery, and what holds them together.
import { ask, change, job as get, listen, make, Refused } from "./api.js"
import { Box } from "./box.js"
import { Drafts, DRAFTS } from "./drafts.js"
import { Gallery } from "./gallery.js"
import { Queue } from "./queue.js"
import { Toast } from "./toast.js"
import { Pair, View } from "./view.js"
import { language, say, translate } from "./words.js"

const $ = id => document.getElementById(id)
const ends = ["done", "failed", "cancelled"], mine = new Set(), over = new Set() /* jobs that have ended, as far as was told */
let listening, looking, told = 0, workers = 0

function announce(text) {
  $("state").textContent = text
  told = Date.now()
}

/* ---- sending ---- */

const box = new Box((job, drafts) => send(job, drafts))
const queue = new Queue($("queue"), $("jobs"), announce)

async function send(job, drafts) {
  box.clearTrouble()
  if (drafts) {
    job.n = DRAFTS
    if (!$("fast").disabled && job.modality !== "audio") job.fast = true
  }
  try {
    const told = await ask("POST", "/jobs", job)
    mine.add(told.id)
    queue.track({ ...job, id: told.id, state: told.state ?? "queued" })
    if (drafts) openDrafts(told.id)
    announce(say("sent"))
  } catch (e) {
    if (e.status === 401) return door()
    box.refuse(e instanceof Refused ? e : { message: say("notSent") })
  }
}

async function ended(id, state) {
  over.add(id)
  queue.drop(id)
  const job = await get(id).catch(() => undefined)
  drafts.look(id)
  if (job && state === "done") {
    gallery.add(job)
    announce(say("done", job.prompt ?? job.mood ?? id))
  } else if (job && state === "failed") {
    announce(say("failed", job.error ?? id))
    /* What only a worker's model could tell, told where it was written. */
    if (mine.has(id) && job.error_code === "rejected") {
      const [, a, b] = job.error.match(/field '(\w+)'|unknown (\w+) '/) ?? []
      box.refuse({ message: job.error, field: a ?? b })
    }
  }
}

async function happened(name, event) {
  if (ends.includes(name)) return ended(event.id, name)
  if (name === "variant") return drafts.look(event.id)
  if (name !== "progress" && name !== "preview") over.delete(event.id) /* it begins anew */
  else if (over.has(event.id)) return
  if (!queue.has(event.id)) {
    const job = await get(event.id).catch(() => undefined)
    /* It may have ended while it was asked for. */
    if (!job || ends.includes(job.state) || over.has(event.id)) return
    queue.track(job)
  }
  if (name === "preview") return event.webp && queue.preview(event.id, event.webp)
  if (name === "progress") queue.track({ id: event.id, state: "running", step: event.step, steps_total: event.steps ?? event.total })
  else queue.track({ id: event.id, state: name })
}

/* ---- what is done with a result ---- */

function again(item, more) {
  const fields = { ...box.settings(item), ...more }
  if (fields.fast === false) for (const f of ["fast", "steps", "cfg_scale", "sampler", "scheduler"]) delete fields[f]
  $("view").close()
  send(fields, fields.n === DRAFTS)
}
const whole = item => again(item, { fast: false })
const similar = item => again(item, { init: `${item.job.id}-${item.file.variant + 1}`, strength: 0.6, seed: "-1", n: DRAFTS })

/* Into the prompt box: all of it, or what is named. */
function reuse(item, only) {
  box.fill(box.settings(item), only)
  $("view").close()
  $("prompt").focus()
}

function star(item) {
  const { job } = item, starred = !job.starred
  mark(item, { starred }, () => { job.starred = starred }, () => { job.starred = !starred })
  announce(say(starred ? "isStarred" : "unstarred"))
}

function tag(item, tags) {
  const { job } = item, before = job.tags
  mark(item, { tags }, () => { job.tags = tags }, () => { job.tags = before })
}

/* Shown at once; taken back where it is refused. All pictures of a job have its marks. */
async function mark({ job }, fields, act, undo) {
  const show = () => {
    for (const i of gallery.items) if (i.job !== job && i.job.id === job.id) Object.assign(i.job, { starred: job.starred, tags: job.tags })
    gallery.redraw(job.id)
    view.redraw()
  }
  act()
  show()
  try {
    await change(job.id, fields)
  } catch (e) {
    undo()
    show()
    announce(e.message)
  }
}

/* It is gone from the list at once, and from the disk when nobody has taken that back. */
function remove({ job }) {
  const next = gallery.items.findIndex(i => i.job.id === job.id)
  gallery.hide(job.id)
  $("view").close()
  const tile = gallery.items.slice(Math.max(0, next)).find(i => i.tile?.isConnected)?.tile ?? $("grid").querySelector(".tile")
  if (tile) gallery.rove(tile)
  const count = gallery.items.filter(i => i.job.id === job.id).length
  toast.offer(say(count > 1 ? "deletedAll" : "deleted", count), async () => {
    const answer = await fetch(`/jobs/${encodeURIComponent(job.id)}/delete`, { method: "POST", keepalive: true }).catch(() => undefined)
    if (answer?.ok) return
    gallery.hide(job.id, false)
    announce(say("notDeleted"))
  }, () => {
    gallery.hide(job.id, false)
    const back = gallery.items.find(i => i.job.id === job.id)?.tile
    if (back?.isConnected) gallery.rove(back)
    announce(say("restored"))
  })
}

const letters = () => $("letters").checked
const toast = new Toast($("toast"))
const gallery = new Gallery($("grid"), $("end"), { open: item => view.open(item), star, letters })
const pair = new Pair($("two"))
const view = new View($("view"), {
  again, whole, similar, reuse, star, tag, remove, letters,
  there: (item, by) => gallery.neighbour(item, by) !== undefined,
  step(item, by) {
    const next = gallery.neighbour(item, by)
    if (next) view.open(next)
  },
  mark(item) {
    const marked = gallery.mark(item)
    $("compare").hidden = marked.length === 0
    $("compare").textContent = say(marked.length === 2 ? "compareNow" : "marked")
    $("compare").disabled = marked.length !== 2
    $("view").close()
    if (marked.length === 2) pair.open(marked)
  },
  withTag(name) {
    $("view").close()
    $("with-tag").value = name
    search()
  },
  /* Where the reader was led by arrows, the list is too. */
  closed(item) {
    if (item?.tile?.isConnected && document.activeElement !== item.tile) gallery.rove(item.tile)
  },
})
const drafts = new Drafts($("drafts-box"), { open: item => view.open(item), whole, similar, reuse, closed: () => setAddress({ drafts: "" }) })
$("compare").addEventListener("click", () => gallery.marked.size === 2 && pair.open([...gallery.marked]))

function openDrafts(id) {
  setAddress({ drafts: id })
  drafts.open(id)
}

/* ---- filters, which stand in the address ---- */

function address() {
  const q = new URLSearchParams(location.search), text = name => q.get(name) ?? ""
  return { words: text("q"), kind: text("kind"), model: text("model"), tag: text("tag"), starred: q.has("starred"), drafts: text("drafts") }
}

function setAddress(more) {
  const { words, kind, model, tag, starred, drafts } = { ...address(), ...more }, q = new URLSearchParams()
  for (const [name, value] of Object.entries({ q: words, kind, model, tag, starred: starred ? "1" : "", drafts })) if (value) q.set(name, value)
  history.replaceState(null, "", q.size ? `?${q}` : location.pathname)
}

function search() {
  const query = { words: $("words").value.trim(), kind: $("filter").value, model: $("with-model").value, tag: $("with-tag").value.trim(), starred: $("starred").checked }
  setAddress(query)
  return gallery.reset(query)
}
let typing
for (const id of ["words", "with-tag"]) $(id).addEventListener("input", () => { clearTimeout(typing); typing = setTimeout(search, 300) })
for (const id of ["filter", "with-model", "starred"]) $(id).addEventListener("change", search)
$("search").addEventListener("submit", e => { e.preventDefault(); search() })

function fillFilters() {
  const option = (value, text) => make("option", { value }, text), keep = id => [id, $(id).value]
  const chosen = ["filter", "with-model"].map(keep)
  $("filter").replaceChildren(...["", ...box.every].map(k => option(k, say(k || "all"))))
  $("with-model").replaceChildren(option("", say("anyModel")), ...box.models.map(m => option(m.name, m.name)))
  for (const [id, value] of chosen) {
    if (value && ![...$(id).options].some(o => o.value === value)) $(id).append(option(value, value))
    $(id).value = value
  }
}

/* ---- the queue as a whole ---- */

/* Workers come and go, and with them what can be made. */
async function relearn(present) {
  const { models } = await ask("GET", "/models"), chosen = $("model").value
  workers = present
  if (JSON.stringify(models) === JSON.stringify(box.models)) return
  await box.learn(models)
  if ([...$("model").options].some(o => o.value === chosen)) $("model").value = chosen
  fillFilters()
}

async function look() {
  const q = await ask("GET", "/queue").catch(() => undefined)
  if (!q) return
  if (q.workers !== workers) relearn(q.workers).catch(() => {})
  const { ready = 0, delayed = 0, running = 0 } = q.jobs
  $("pause").hidden = !q.may_pause
  $("pause").textContent = say(q.paused ? "resume" : "pause")
  $("pause").dataset.to = q.paused ? "resume" : "pause"
  if (Date.now() - told < 4000) return
  announce(q.paused ? say("paused") : !q.workers ? say("nobody") : ready + delayed + running ? say("busy", ready + delayed, running)
    : say("idle", q.workers))
  told = 0
}
$("pause").addEventListener("click", () => ask("POST", `/queue/${$("pause").dataset.to}`, {}).then(look, e => announce(e.message)))

/* ---- language, light, keys ---- */

function words(to) {
  translate(to)
  $("language").textContent = language === "ru" ? "English" : "Русский"
  $("language").lang = language === "ru" ? "en" : "ru"
  fillFilters()
  box.setKind(box.kind)
  queue.redraw()
}
$("language").addEventListener("click", () => {
  words(language === "ru" ? "en" : "ru")
  told = 0
  if (looking) look()
})

function theme(to) {
  document.documentElement.dataset.theme = to
  localStorage.setItem("theme", to)
}
$("theme").addEventListener("click", () => {
  const dark = document.documentElement.dataset.theme ? document.documentElement.dataset.theme === "dark"
    : matchMedia("(prefers-color-scheme: dark)").matches
  theme(dark ? "light" : "dark")
})
if (localStorage.getItem("theme")) theme(localStorage.getItem("theme"))

$("letters").checked = localStorage.getItem("letters") !== "off"
$("letters").addEventListener("change", () => localStorage.setItem("letters", letters() ? "on" : "off"))

/* ---- coming in ---- */

const rooms = ["make", "queue", "drafts-box", "gallery"]

function door(message = "") {
  $("door").hidden = false
  for (const id of rooms) $(id).hidden = true
  announce(message)
  $("key").focus()
}

async function login(key) {
  try {
    await ask("POST", "/login", undefined, { Authorization: `Bearer ${key}` })
    $("door").hidden = true
    for (const id of ["make", "gallery"]) $(id).hidden = false
    await begin()
  } catch (e) {
    door(e.status === 401 ? say("wrongKey") : e.message)
  }
}
$("key-form").addEventListener("submit", e => { e.preventDefault(); login($("key").value.trim()) })
$("leave").addEventListener("click", () => ask("POST", "/logout").finally(() => location.reload()))

/* While the queue is away the page waits for it. */
function waits(e) {
  if (e.status === 401) return door()
  announce(e.message)
  setTimeout(() => begin().catch(waits), 3000)
}

/* What ended before anything was heard is not told again. */
async function opened(again) {
  if (again) {
    announce(say("back"))
    look()
  }
  for (const id of queue.ids()) {
    const job = await get(id).catch(() => undefined)
    if (job && ends.includes(job.state)) ended(id, job.state)
  }
}

/* Whether the key still opens: one may be revoked while the page is open. */
async function stays() {
  const status = await ask("GET", "/queue").then(() => 200, e => e.status)
  if (status !== 401) return true
  listening = undefined
  door(say("wrongKey"))
  return false
}

async function begin() {
  const told = await ask("GET", "/models"), at = address()
  await box.learn(told.models)
  $("leave").hidden = !told.key
  fillFilters()
  Object.assign($("words"), { value: at.words })
  Object.assign($("with-tag"), { value: at.tag })
  $("starred").checked = at.starred
  for (const [id, value] of [["filter", at.kind], ["with-model", at.model]]) {
    if (value && ![...$(id).options].some(o => o.value === value)) $(id).append(make("option", { value }, value))
    $(id).value = value
  }
  for (const job of (await ask("GET", "/jobs?limit=50")).jobs) if (job.state === "queued") queue.track(job)
  for (const state of ["running", "ready", "delayed", "blocked"])
    for (const job of (await ask("GET", `/jobs?state=${state}&limit=50`)).jobs) queue.track(job)
  listening ??= listen(happened, () => announce(say("lost")), opened, stays)
  look()
  looking ??= setInterval(look, 5000)
  if (at.drafts) drafts.open(at.drafts)
  await gallery.reset(at)
}

/* A link may bring the key behind its #, which no server sees. */
function keyOfAddress() {
  const given = new URLSearchParams(location.hash.slice(1)).get("key")
  if (given) history.replaceState(null, "", location.pathname + location.search)
  return given
}
addEventListener("hashchange", () => {
  const given = keyOfAddress()
  if (given) login(given)
})

words(language)
const given = keyOfAddress()
if (given) login(given)
else begin().catch(waits)
