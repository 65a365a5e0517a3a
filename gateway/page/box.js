// The prompt box: what is to be made.
import { ask, make } from "./api.js"
import { say } from "./words.js"

const $ = id => document.getElementById(id)
const usual = ["image", "video", "audio"], more = ["world"] /* which are offered where a model is there */
const wholes = ["n", "steps", "frames"], reals = ["cfg_scale", "duration", "upscale"],
  texts = ["negative_prompt", "sampler", "scheduler", "mood", "model"], checks = ["fast", "loop"]
/* What says when and for whom a job is made, and not what. */
const aside = ["id", "modality", "tags", "priority", "not_before", "deadline", "window", "tz", "every", "after", "max_attempts", "notify",
  "submitter", "n", "width", "height", "prompt", "seed"]

export class Box {
  constructor(send) {
    this.kind = "image"
    this.models = []
    this.extra = {}
    this.known = []
    this.every = usual /* kinds that results may have */
    $("kinds").addEventListener("keydown", e => {
      const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[e.key]
      if (!step) return
      e.preventDefault()
      const kinds = this.#kinds()
      this.setKind(kinds[(kinds.indexOf(this.kind) + step + kinds.length) % kinds.length])
      $("kinds").querySelector("[aria-checked=true]").focus()
    })
    $("model").addEventListener("change", () => this.#propose())
    $("make").addEventListener("submit", e => {
      e.preventDefault()
      send(this.read(), e.submitter?.id === "drafts")
    })
    $("prompt").addEventListener("keydown", e => {
      if (e.key === "Enter" && (e.ctrlKey || e.metaKey)) $("make").requestSubmit($("go"))
    })
  }

  async learn(models) {
    this.models = models
    this.setKind(this.kind)
    const told = await ask("GET", "/openapi.json").catch(() => undefined)
    const fields = told?.components.schemas.job.properties ?? {}
    this.known = Object.keys(fields)
    this.every = fields.modality?.enum ?? this.#kinds()
  }

  #kinds() {
    return [...usual, ...more.filter(k => k === this.kind || this.models.some(m => m.modality === k))]
  }

  setKind(to) {
    this.kind = to
    $("make").dataset.kind = to
    $("kinds").replaceChildren(...this.#kinds().map(k => make("button", {
      type: "button", role: "radio", "aria-checked": String(k === to), tabindex: k === to ? "0" : "-1", on: { click: () => this.setKind(k) },
    }, say(k))))
    const fitting = this.models.filter(m => m.modality === to)
    $("model").replaceChildren(...(fitting.length ? fitting.map(m => make("option", { value: m.default ? "" : m.name }, m.name))
      : [make("option", { value: "" }, say("noModel"))]))
    const chosen = fitting.findIndex(m => m.default)
    if (chosen >= 0) $("model").selectedIndex = chosen
    this.#propose()
    this.#drawExtra()
  }

  /* What the chosen model proposes: its sizes and moods, and in empty fields what it takes where nothing is said. */
  #propose() {
    const m = this.models.find(m => m.modality === this.kind && ($("model").value ? m.name === $("model").value : m.default)) ?? {}
    const size = $("size").value, own = m.sizes?.[0] ? `${say("own")} (${m.sizes[0]})` : say("own")
    $("size").replaceChildren(make("option", { value: "" }, own), ...(m.sizes ?? []).slice(1).map(s => make("option", { value: s }, s)))
    if ([...$("size").options].some(o => o.value === size)) $("size").value = size
    const mood = $("mood").value
    $("mood").replaceChildren(make("option", { value: "" }, say("noMood")), ...(m.moods ?? []).map(s => make("option", { value: s }, say(s))))
    if ([...$("mood").options].some(o => o.value === mood)) $("mood").value = mood
    for (const f of ["steps", "cfg_scale", "sampler", "scheduler", "frames", "duration"]) $(f).placeholder = m.defaults?.[f] ?? ""
    $("fast").disabled = m.fast === false
    if (m.fast === false) $("fast").checked = false
  }

  /* The seed is a whole number of 64 bits, which JavaScript's numbers do not hold: it goes as a text. */
  read() {
    const job = { ...this.extra, modality: this.kind }
    if ($("prompt").value.trim()) job.prompt = $("prompt").value.trim()
    for (const f of texts) if ($(f).value.trim()) job[f] = $(f).value.trim()
    for (const f of wholes) if ($(f).value !== "") job[f] = Number.parseInt($(f).value, 10)
    for (const f of reals) if ($(f).value !== "") job[f] = Number.parseFloat($(f).value)
    if ($("seed").value) job.seed = $("seed").value
    if (this.kind !== "audio" && $("size").value) [job.width, job.height] = $("size").value.split("x").map(Number)
    for (const f of checks) if ($(f).checked) job[f] = true
    if (this.kind !== "video") delete job.frames
    if (this.kind === "image" || this.kind === "world") delete job.loop
    if (this.kind === "audio" || this.kind === "world") delete job.upscale
    if (this.kind !== "audio") for (const f of ["duration", "mood"]) delete job[f]
    return job
  }

  /* What a result was made with, as a job may say it. */
  settings({ job, file }) {
    const out = { modality: job.modality ?? "image" }
    for (const f of ["prompt", "width", "height", ...this.known.filter(f => !aside.includes(f))]) if (job[f] !== undefined) out[f] = job[f]
    out.seed = String(file.seed ?? job.seed ?? "")
    return out
  }

  /* Some of it, or all, into the box; what was not asked for stays. */
  fill(settings, only) {
    const want = f => !only || only.includes(f)
    if (!only) {
      this.setKind(settings.modality)
      this.extra = {}
    }
    if (want("model")) this.#set("model", settings.model ?? "")
    this.#propose()
    for (const f of ["prompt", "seed", ...texts, ...wholes, ...reals]) if (f !== "n" && f !== "model" && want(f)) this.#set(f, settings[f] ?? "")
    for (const f of checks) if (want(f)) $(f).checked = Boolean(settings[f])
    if (want("width")) this.#set("size", settings.width && settings.height ? `${settings.width}x${settings.height}` : "")
    const own = [...texts, ...wholes, ...reals, ...checks, "prompt", "seed", "width", "height", "modality"]
    for (const [f, value] of Object.entries(settings)) if (!own.includes(f) && want(f)) this.extra[f] = value
    this.#drawExtra()
  }

  /* A list may lack what another model had: the refusal then says so. */
  #set(id, value) {
    const field = $(id)
    if (field.options && value && ![...field.options].some(o => o.value === String(value))) {
      const usual = id === "model" && this.models.some(m => m.name === value && m.default)
      if (usual) value = ""
      else field.append(make("option", { value }, String(value)))
    }
    field.value = value
  }

  /* Settings without a field of their own: each can be taken away. */
  #drawExtra() {
    $("extra").replaceChildren(...Object.entries(this.extra).map(([f, value]) => make("button", {
      type: "button", "aria-label": say("without", f), on: { click: () => { delete this.extra[f]; this.#drawExtra() } },
    }, `${f}: ${typeof value === "object" ? JSON.stringify(value) : value} ×`)))
    if (Object.keys(this.extra).length) $("more").open = true
  }

  clearTrouble() {
    for (const f of document.querySelectorAll("[aria-invalid]")) f.removeAttribute("aria-invalid")
    $("trouble").textContent = ""
  }

  refuse(error) {
    $("trouble").textContent = error.message
    const field = error.field && $({ width: "size", height: "size" }[error.field] ?? error.field)
    if (!field) return
    $("more").open ||= $("more").contains(field)
    field.setAttribute("aria-invalid", "true")
    field.setAttribute("aria-describedby", "trouble")
    field.focus()
  }
}
