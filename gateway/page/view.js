// One result in full, with its settings beside it; and two of them compared.
import { make } from "./api.js"
import { describe, here } from "./gallery.js"
import { say } from "./words.js"

const shown = ["model", "mood", "negative_prompt", "sampler", "scheduler", "steps", "cfg_scale", "width", "height", "frames", "fps",
  "duration", "fast", "init", "strength", "tags", "created"]
const words = { model: "model", mood: "mood", negative_prompt: "negative", sampler: "sampler", steps: "steps", cfg_scale: "guidance",
  frames: "frames", duration: "duration", fast: "fast", created: "created" }

/* Peaks of a clip, drawn once; the clip itself never plays by itself. */
async function drawWave(canvas, url) {
  try {
    const bytes = await (await fetch(url)).arrayBuffer()
    const sound = await new OfflineAudioContext(1, 1, 44100).decodeAudioData(bytes)
    const data = sound.getChannelData(0), paint = canvas.getContext("2d")
    const { width, height } = canvas, each = Math.max(1, Math.floor(data.length / width))
    paint.fillStyle = getComputedStyle(canvas).color
    for (let x = 0; x < width; x++) {
      let top = 0
      for (let i = x * each; i < (x + 1) * each && i < data.length; i++) top = Math.max(top, Math.abs(data[i]))
      paint.fillRect(x, (1 - top) * height / 2, 1, Math.max(1, top * height))
    }
  } catch { /* a browser without this decoder plays it all the same, or says why not */ }
}

export class View {
  constructor(dialog, actions) {
    Object.assign(this, { dialog, actions, frame: dialog.querySelector("#frame"), facts: dialog.querySelector("#facts") })
    dialog.addEventListener("keydown", e => {
      if (e.target.matches("input, textarea, audio") || e.ctrlKey || e.metaKey || e.altKey) return
      if (e.key === "ArrowRight") this.actions.step(this.item, 1)
      else if (e.key === "ArrowLeft") this.actions.step(this.item, -1)
      else if (e.key === "c" || e.key === "C") this.actions.mark(this.item)
      else return
      e.preventDefault()
    })
    dialog.addEventListener("close", () => this.frame.replaceChildren())
  }

  open(item) {
    const { job, file, poster } = item
    this.item = item
    this.dialog.querySelector("#view-title").textContent = job.prompt ?? job.mood ?? job.id
    const url = here(file.url)
    if (file.mime.startsWith("audio/")) {
      const canvas = make("canvas", { width: 800, height: 160, role: "img", "aria-label": say("wave") })
      const parts = [canvas, make("audio", { controls: true, src: url, preload: "metadata" })]
      if (poster) parts.push(make("img", { src: here(poster.url), alt: "" }))
      this.frame.replaceChildren(...parts)
      drawWave(canvas, url)
    } else {
      this.frame.replaceChildren(make("img", { src: url, alt: describe(item), width: file.width, height: file.height }))
    }
    this.#buttons(item, url)
    this.#facts(item)
    if (!this.dialog.open) this.dialog.showModal()
  }

  #buttons(item, url) {
    const button = (word, f) => make("button", { type: "button", on: { click: f } }, say(word))
    const list = [button("reuse", () => this.actions.reuse(item, "all")), button("onlyPrompt", () => this.actions.reuse(item, "prompt")),
      button("onlySeed", () => this.actions.reuse(item, "seed")), button("other", () => this.actions.again(item, { seed: -1 }))]
    if (item.job.fast) list.unshift(button("whole", () => this.actions.again(item, { fast: false })))
    if (!item.file.mime.startsWith("audio/")) list.push(button("mark", () => this.actions.mark(item)))
    const step = (word, sign, by) => make("button", {
      type: "button", "aria-label": say(word), disabled: !this.actions.there(item, by), on: { click: () => this.actions.step(item, by) },
    }, sign)
    list.push(make("a", { href: url, download: `${item.job.id}-${item.file.name}`, class: "save" }, say("save")),
      step("previous", "←", -1), step("next", "→", 1))
    this.dialog.querySelector("#view-actions").replaceChildren(...list)
  }

  #facts({ job, file }) {
    const rows = [["seed", file.seed], ...shown.map(k => [k, job[k]])].filter(([, v]) => v !== undefined && v !== null && String(v) !== "")
    this.facts.replaceChildren(...rows.flatMap(([key, value]) => [
      make("dt", {}, say(words[key] ?? key)),
      make("dd", {}, key === "created" ? new Date(value).toLocaleString(document.documentElement.lang) : String(value))]))
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
  }

  open(items) {
    this.items = items
    this.box.replaceChildren(...items.map(i => make("img", { src: here(i.file.url), alt: describe(i), width: i.file.width, height: i.file.height })))
    this.#draw()
    if (!this.dialog.open) this.dialog.showModal()
  }

  #draw() {
    const [left, right] = this.box.children
    left.style.clipPath = `inset(0 ${100 - this.share.value}% 0 0)`
    right.style.clipPath = `inset(0 0 0 ${this.share.value}%)`
  }
}
