// The page: prompt box, live queue, gallery.
import { ask, listen, make, Refused } from "./api.js"
import { Gallery } from "./gallery.js"
import { language, say, translate } from "./words.js"
import { Pair, View } from "./view.js"

const $ = id => document.getElementById(id)
const sizes = { image: ["", "256x256", "384x256", "256x384", "512x512", "768x512", "512x768", "768x768", "1024x1024", "1216x832", "832x1216"],
  video: ["", "128x128", "192x128", "256x256", "512x512"] }
const wholes = ["n", "steps", "frames"], reals = ["cfg_scale", "duration"], texts = ["negative_prompt", "sampler", "mood", "model"]
let kind = "image", models = [], jobs = new Map(), mine = new Set(), events, looking

/* ---- prompt box ---- */

function setKind(to) {
  kind = to
  $("make").dataset.kind = to
  $("kinds").replaceChildren(...["image", "video", "audio"].map(k => make("button", {
    type: "button", role: "radio", "aria-checked": String(k === kind), tabindex: k === kind ? "0" : "-1", on: { click: () => setKind(k) },
  }, say(k))))
  const fitting = models.filter(m => m.modality === kind)
  $("model").replaceChildren(...(fitting.length ? fitting.map(m => make("option", { value: m.default ? "" : m.name }, m.name))
    : [make("option", { value: "" }, say("noModel"))]))
  const usual = fitting.findIndex(m => m.default)
  if (usual >= 0) $("model").selectedIndex = usual
  $("size").replaceChildren(...(sizes[kind] ?? []).map(s => make("option", { value: s }, s || say("own"))))
}

$("kinds").addEventListener("keydown", e => {
  const order = ["image", "video", "audio"], step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[e.key]
  if (!step) return
  e.preventDefault()
  setKind(order[(order.indexOf(kind) + step + order.length) % order.length])
  $("kinds").querySelector("[aria-checked=true]").focus()
})

/* The seed is a whole number of 64 bits, which JavaScript's numbers do not hold: it goes as a text. */
function read() {
  const job = { modality: kind, prompt: $("prompt").value.trim() }
  for (const f of texts) if ($(f).value.trim() && $(f).offsetParent) job[f] = $(f).value.trim()
  for (const f of wholes) if ($(f).value && $(f).value !== "") job[f] = Number.parseInt($(f).value, 10)
  for (const f of reals) if ($(f).value !== "") job[f] = Number.parseFloat($(f).value)
  if ($("seed").value) job.seed = $("seed").value
  if (kind !== "audio" && $("size").value) [job.width, job.height] = $("size").value.split("x").map(Number)
  if ($("fast").checked) job.fast = true
  if (kind === "video" && $("loop").checked) job.loop = true
  if (kind !== "video") delete job.frames
  if (kind !== "audio") { delete job.duration; delete job.mood }
  return job
}

function refuse(error) {
  $("trouble").textContent = error.message
  const field = error.field && $(error.field)
  if (!field) return
  $("more").open ||= $("more").contains(field)
  field.setAttribute("aria-invalid", "true")
  field.setAttribute("aria-describedby", "trouble")
  field.focus()
}

async function send(job) {
  for (const f of document.querySelectorAll("[aria-invalid]")) f.removeAttribute("aria-invalid")
  $("trouble").textContent = ""
  try {
    const told = await ask("POST", "/jobs", job)
    mine.add(told.id)
    track({ ...job, id: told.id, state: told.state ?? "queued" })
    announce(say("sent"))
  } catch (e) {
    if (!(e instanceof Refused)) throw e
    if (e.status === 401) return door()
    refuse(e)
  }
}

$("make").addEventListener("submit", e => {
  e.preventDefault()
  const job = read()
  if (e.submitter?.id === "drafts") Object.assign(job, { n: 5, ...(kind === "audio" ? {} : { fast: true }) })
  send(job)
})
$("prompt").addEventListener("keydown", e => {
  if (e.key === "Enter" && (e.ctrlKey || e.metaKey)) $("make").requestSubmit($("go"))
})

/* ---- live queue ---- */

let told = 0
function announce(text) {
  $("state").textContent = text
  told = Date.now()
}

function track(job) {
  const known = jobs.get(job.id)
  if (known) Object.assign(known.job, job)
  else jobs.set(job.id, { job, ...row(job) })
  draw(jobs.get(job.id))
}

function row(job) {
  const picture = make("img", { alt: "", width: 80, height: 80, hidden: true }), nothing = make("span", { class: "nothing" })
  const bar = make("progress", { "aria-label": job.prompt ?? job.id }), line = make("span", { class: "quiet" })
  const stop = make("button", { type: "button", on: { click: () => ask("DELETE", `/jobs/${job.id}`).catch(e => announce(e.message)) } })
  const li = make("li", {}, make("span", {}, picture, nothing), make("div", {}, make("p", {}, job.prompt ?? job.mood ?? job.id), bar, line), stop)
  $("jobs").append(li)
  return { li, picture, nothing, bar, line, stop }
}

function draw(entry) {
  const { job, bar, line, stop } = entry
  stop.textContent = say("cancel")
  stop.setAttribute("aria-label", say("cancelOf", job.prompt ?? job.id))
  if (job.steps_total) {
    bar.max = job.steps_total
    bar.value = job.step ?? 0
    line.textContent = say("step", job.step ?? 0, job.steps_total)
  } else {
    bar.removeAttribute("value")
    line.textContent = job.waits ?? say(job.state === "running" ? "running" : "waiting")
  }
  bar.hidden = job.state !== "running"
  $("queue").hidden = jobs.size === 0
}

function drop(id) {
  const entry = jobs.get(id)
  if (entry?.picture.src) URL.revokeObjectURL(entry.picture.src)
  entry?.li.remove()
  jobs.delete(id)
  $("queue").hidden = jobs.size === 0
}

function preview(entry, base64) {
  const bytes = Uint8Array.from(atob(base64), c => c.charCodeAt(0))
  if (entry.picture.src) URL.revokeObjectURL(entry.picture.src)
  entry.picture.src = URL.createObjectURL(new Blob([bytes], { type: "image/webp" }))
  entry.picture.hidden = false
  entry.nothing.hidden = true
}

async function ended(id, state) {
  drop(id)
  const job = await ask("GET", `/jobs/${id}`).catch(() => undefined)
  if (job && state === "done") {
    gallery.add(job)
    announce(say("done", job.prompt ?? job.mood ?? id))
  } else if (job && state === "failed") {
    announce(say("failed", job.error ?? id))
    /* What only a worker's model could tell, told where it was written. */
    if (mine.has(id) && job.error_code === "rejected") {
      const [, a, b] = job.error.match(/field '(\w+)'|unknown (\w+) '/) ?? []
      refuse({ message: job.error, field: a ?? b })
    }
  }
}

async function happened(name, event) {
  if (["done", "failed", "cancelled"].includes(name)) return ended(event.id, name)
  let entry = jobs.get(event.id)
  if (!entry && name !== "variant") {
    const job = await ask("GET", `/jobs/${event.id}`).catch(() => undefined)
    if (!job || ["done", "failed", "cancelled"].includes(job.state)) return
    track(job)
    entry = jobs.get(event.id)
  }
  if (!entry) return
  if (name === "preview" && event.webp) return preview(entry, event.webp)
  if (name === "progress") track({ id: event.id, state: "running", step: event.step, steps_total: event.steps ?? event.total })
  else if (name !== "variant") track({ id: event.id, state: name })
}

/* ---- the whole ---- */

const gallery = new Gallery($("grid"), $("end"), item => view.open(item))
const pair = new Pair($("two"))
const view = new View($("view"), {
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
  /* Into the prompt box; what is there and was not asked for stays. */
  reuse(item, what) {
    const { job, file } = item
    if (what !== "seed") $("prompt").value = job.prompt ?? ""
    if (what !== "prompt") $("seed").value = file.seed ?? ""
    if (what === "all") {
      setKind(job.modality ?? "image")
      for (const f of [...texts, ...wholes, ...reals]) if (f !== "n") $(f).value = job[f] ?? ""
      const size = job.width && job.height ? `${job.width}x${job.height}` : ""
      if (size && ![...$("size").options].some(o => o.value === size)) $("size").append(make("option", { value: size }, size))
      $("size").value = size
      $("fast").checked = Boolean(job.fast)
      $("loop").checked = Boolean(job.loop)
    }
    $("view").close()
    $("prompt").focus()
  },
  again(item, change) {
    const { job, file } = item, fields = {}
    for (const f of ["modality", "prompt", "negative_prompt", "model", "width", "height", "frames", "fps", "loop", "duration", "mood",
      "steps", "cfg_scale", "sampler", "scheduler", "fast"]) if (job[f] !== undefined) fields[f] = job[f]
    fields.seed = String(file.seed ?? job.seed)
    Object.assign(fields, change)
    if (fields.fast === false) for (const f of ["fast", "steps", "cfg_scale", "sampler", "scheduler"]) delete fields[f]
    if (fields.seed === -1) delete fields.seed
    $("view").close()
    send(fields)
  },
})
$("compare").addEventListener("click", () => gallery.marked.size === 2 && pair.open([...gallery.marked]))

function address() {
  const q = new URLSearchParams(location.search)
  return { words: q.get("q") ?? "", kind: q.get("kind") ?? "" }
}

function search() {
  const query = { words: $("words").value.trim(), kind: $("filter").value }
  const q = new URLSearchParams()
  if (query.words) q.set("q", query.words)
  if (query.kind) q.set("kind", query.kind)
  history.replaceState(null, "", q.size ? `?${q}` : location.pathname)
  gallery.reset(query)
}
let typing
$("words").addEventListener("input", () => { clearTimeout(typing); typing = setTimeout(search, 300) })
$("search").addEventListener("submit", e => { e.preventDefault(); search() })
$("filter").addEventListener("change", search)

async function look() {
  const q = await ask("GET", "/queue").catch(() => undefined)
  if (!q) return
  const { ready = 0, delayed = 0, running = 0 } = q.jobs
  $("pause").hidden = false
  $("pause").textContent = say(q.paused ? "resume" : "pause")
  $("pause").dataset.to = q.paused ? "resume" : "pause"
  if (Date.now() - told < 4000) return
  announce(q.paused ? say("paused") : !q.workers ? say("nobody") : ready + delayed + running ? say("busy", ready + delayed, running)
    : say("idle", q.workers))
  told = 0
}
$("pause").addEventListener("click", () => ask("POST", `/queue/${$("pause").dataset.to}`, {}).then(look, e => announce(e.message)))

function words(to) {
  translate(to)
  $("language").textContent = language === "ru" ? "English" : "Русский"
  $("language").lang = language === "ru" ? "en" : "ru"
  const chosen = $("filter").value
  $("filter").replaceChildren(...["", "image", "video", "audio"].map(k => make("option", { value: k }, say(k || "all"))))
  $("filter").value = chosen
  setKind(kind)
  for (const entry of jobs.values()) draw(entry)
}
$("language").addEventListener("click", () => words(language === "ru" ? "en" : "ru"))

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

/* ---- coming in ---- */

function door(message = "") {
  $("door").hidden = false
  for (const id of ["make", "queue", "gallery"]) $(id).hidden = true
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

async function begin() {
  const told = await ask("GET", "/models")
  models = told.models
  $("leave").hidden = !told.key
  setKind(kind)
  const here = address()
  $("words").value = here.words
  $("filter").value = here.kind
  for (const state of ["running", "ready", "delayed", "blocked"])
    for (const job of (await ask("GET", `/jobs?state=${state}&limit=50`)).jobs) track(job)
  events ??= listen(happened, () => announce(say("lost")), () => { announce(say("back")); look() })
  look()
  looking ??= setInterval(look, 5000)
  await gallery.reset(here)
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
