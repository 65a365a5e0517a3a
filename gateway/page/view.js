// One result in full, with its settings beside it; and two of them compared.
import { job as get, make } from "./api.js"
import { describe, here, isMesh, isPicture } from "./gallery.js"
import { drawWave, follow } from "./sound.js"
import { say } from "./words.js"
import { World } from "./world.js"

const shown = ["prompt", "seed", "model", "mood", "negative_prompt", "loras", "sampler", "scheduler", "steps", "cfg_scale", "width", "height", "frames",
  "fps", "duration", "loop", "fast", "init", "strength", "created"]
const words = { prompt: "prompt", model: "model", mood: "mood", negative_prompt: "negative", sampler: "sampler", scheduler: "scheduler", steps: "steps",
  cfg_scale: "guidance", frames: "frames", duration: "duration", fast: "fast", loop: "loop", created: "created", seed: "seed", width: "width", height: "height" }
const FAR = 60 /* pixels of a finger's way that lead to the next one */

/* An animation: a video, or a landscape that is turned. */
const moves = (job, file) => file.mime === "image/webp" && (job.modality === "video" || job.modality === "world")

const still = () => matchMedia("(prefers-reduced-motion: reduce)").matches

export class View {
  constructor(dialog, actions) {
    const part = id => dialog.querySelector(`#${id}`)
    Object.assign(this, { dialog, actions, frame: part("frame"), facts: part("facts"), tags: part("tags"), star: part("star") })
    dialog.addEventListener("keydown", e => {
      if (e.target.matches("input, textarea, select, audio, video") || e.ctrlKey || e.metaKey || e.altKey) return
      const letters = this.actions.letters() ? { c: () => isPicture(this.item.file) && this.actions.mark(this.item), f: () => this.actions.star(this.item) } : {}
      const f = { ArrowRight: () => this.actions.step(this.item, 1), ArrowLeft: () => this.actions.step(this.item, -1), ...letters }[
        e.key.length === 1 ? e.key.toLowerCase() : e.key]
      if (!f) return
      f()
      e.preventDefault()
    })
    dialog.addEventListener("close", () => {
      if (dialog.open) return /* the next one has been opened meanwhile */
      this.#clear()
      this.actions.closed(this.item)
    })
    part("tags-form").addEventListener("submit", e => {
      e.preventDefault()
      this.actions.tag(this.item, this.tags.value.split(",").map(t => t.trim()).filter(Boolean))
    })
    this.star.addEventListener("click", () => this.actions.star(this.item))
    this.#swipe()
  }

  /* A finger across the picture leads to the next one; the buttons do too. */
  #swipe() {
    let from
    this.frame.addEventListener("pointerdown", e => { from = e.pointerType === "touch" && !e.target.matches("audio, video, button, .world canvas") ? e : undefined })
    this.frame.addEventListener("pointerup", e => {
      const x = from ? e.clientX - from.clientX : 0, y = from ? e.clientY - from.clientY : 0
      from = undefined
      if (Math.abs(x) > FAR && Math.abs(x) > 2 * Math.abs(y)) this.actions.step(this.item, x < 0 ? 1 : -1)
    })
  }

  async open(item) {
    this.item = item
    this.dialog.querySelector("#view-title").textContent = item.job.prompt ?? item.job.mood ?? item.job.id
    this.#show(item)
    this.#marks(item)
    this.#buttons(item)
    this.#facts(item)
    if (!this.dialog.open) this.dialog.showModal()
    if (!item.job.thin) return
    /* The list keeps little of what is far away. */
    const whole = await get(item.job.id).catch(() => undefined)
    if (!whole) return
    item.job = whole
    item.file = whole.files.find(f => f.name === item.file.name) ?? item.file
    if (this.item === item) for (const draw of [this.#marks, this.#buttons, this.#facts]) draw.call(this, item)
  }

  redraw() {
    if (this.dialog.open) this.#marks(this.item)
  }

  #clear() {
    this.world?.close()
    this.world = undefined
    this.frame.replaceChildren()
  }

  #show(item) {
    const { job, file } = item, url = here(file.url), alt = describe(item)
    this.#clear()
    if (isMesh(file)) {
      this.world = new World(this.frame, { url, name: alt, still: still(), thumb: file.thumb && here(file.thumb),
        turntable: () => this.actions.again(item, { format: "webp" }) })
      return
    }
    if (file.mime.startsWith("audio/")) return this.#sound(item, url)
    if (file.mime.startsWith("video/"))
      return this.frame.replaceChildren(make("video", { controls: true, loop: true, muted: true, playsinline: true, autoplay: !still(), src: url,
        poster: file.thumb && here(file.thumb), "aria-label": alt, width: file.width, height: file.height }))
    const picture = make("img", { src: url, alt, width: file.width, height: file.height, draggable: "false" })
    if (!moves(job, file) || !file.thumb) return this.frame.replaceChildren(picture)
    /* An animation goes round and round until it is stopped: then its first frame stands. */
    const button = make("button", { type: "button", id: "halt", on: { click: () => turn(picture.src.includes("/thumbs/")) } })
    const turn = on => {
      picture.src = here(on ? file.url : file.thumb)
      button.textContent = say(on ? "stop" : "play")
    }
    turn(!still())
    this.frame.replaceChildren(picture, button)
  }

  #sound({ file, poster }, url) {
    const canvas = make("canvas", { width: 800, height: 160, role: "img", "aria-label": say("wave") }), line = make("span", { class: "line" })
    const audio = make("audio", { controls: true, src: url, preload: "metadata" }), parts = [canvas]
    const small = poster ?? (this.item.job.files ?? []).find(f => f.role === "spectrogram" && f.url)
    if (small) parts.push(make("img", { src: here(small.url), alt: say("spectrogram"), class: "spectrogram" }))
    const box = make("div", { class: "wave" }, ...parts, line)
    this.frame.replaceChildren(box, audio)
    follow(box, line, audio)
    drawWave(canvas, url)
  }

  #marks({ job }) {
    this.star.setAttribute("aria-pressed", String(Boolean(job.starred)))
    this.star.textContent = say(job.starred ? "isStarred" : "star")
    if (document.activeElement !== this.tags) this.tags.value = (job.tags ?? []).join(", ")
    this.dialog.querySelector("#tags-list").replaceChildren(...(job.tags ?? []).map(t => make("button", {
      type: "button", "aria-label": say("withTag", t), on: { click: () => this.actions.withTag(t) } }, t)))
  }

  #buttons(item) {
    const button = (word, f) => make("button", { type: "button", on: { click: f } }, say(word))
    const list = [button("reuse", () => this.actions.reuse(item)), button("onlyPrompt", () => this.actions.reuse(item, ["prompt"])),
      button("onlySeed", () => this.actions.reuse(item, ["seed"])), button("other", () => this.actions.again(item, { seed: "-1" })),
      button("similar", () => this.actions.similar(item))]
    if (item.job.fast) list.unshift(button("whole", () => this.actions.whole(item)))
    if (isPicture(item.file)) list.push(button("mark", () => this.actions.mark(item)))
    const step = (word, sign, by) => make("button", {
      type: "button", "aria-label": say(word), disabled: !this.actions.there(item, by), on: { click: () => this.actions.step(item, by) },
    }, sign)
    list.push(make("a", { href: here(item.file.url), download: `${item.job.id}-${item.file.name}`, class: "save" }, say("save")),
      button("remove", () => this.actions.remove(item)), step("previous", "←", -1), step("next", "→", 1))
    this.dialog.querySelector("#view-actions").replaceChildren(...list)
  }

  /* Each setting, with a button that takes this one alone. */
  #facts(item) {
    const { job, file } = item, value = k => k === "seed" ? file.seed : job[k]
    const rows = shown.map(k => [k, value(k)]).filter(([, v]) => v !== undefined && v !== null && v !== "")
    this.facts.replaceChildren(...rows.flatMap(([key, v]) => {
      const name = say(words[key] ?? key)
      const text = key === "created" ? new Date(v).toLocaleString(document.documentElement.lang) : typeof v === "object" ? JSON.stringify(v) : String(v)
      const take = key === "created" || key === "height" ? [] : [make("button", { type: "button", class: "take", "aria-label": say("takeOne", name), title: say("takeOne", name),
        on: { click: () => this.actions.reuse(item, key === "width" ? ["width", "height"] : [key]) } }, "↩")]
      return [make("dt", {}, name), make("dd", {}, text, ...take)]
    }))
  }
}

export class Pair {
  constructor(dialog) {
    Object.assign(this, { dialog, box: dialog.querySelector("#pair"), share: dialog.querySelector("#share") })
    const by = step => { this.share.value = Number(this.share.value) + step; this.#draw() }
    this.share.addEventListener("input", () => this.#draw())
    dialog.querySelector("#left").addEventListener("click", () => by(-10))
    dialog.querySelector("#right").addEventListener("click", () => by(10))
    dialog.querySelector("#swap").addEventListener("click", () => this.open([...this.items].reverse()))
    dialog.querySelector("#beside").addEventListener("change", e => this.box.classList.toggle("beside", e.target.checked))
    /* The edge goes where a finger or the mouse is. */
    const drag = e => {
      const { left, width } = this.box.getBoundingClientRect()
      this.share.value = 100 * (e.clientX - left) / width
      this.#draw()
    }
    this.box.addEventListener("pointerdown", e => { this.box.setPointerCapture(e.pointerId); drag(e) })
    this.box.addEventListener("pointermove", e => this.box.hasPointerCapture(e.pointerId) && drag(e))
  }

  open(items) {
    this.items = items
    this.box.replaceChildren(...items.map(i => make("img", { src: here(i.file.url), alt: describe(i), width: i.file.width, height: i.file.height, draggable: "false" })))
    this.#draw()
    if (!this.dialog.open) this.dialog.showModal()
  }

  #draw() {
    const [left, right] = this.box.children
    left.style.clipPath = `inset(0 ${100 - this.share.value}% 0 0)`
    right.style.clipPath = `inset(0 0 0 ${this.share.value}%)`
  }
}
