// The live queue: what waits and runs, with pictures as they form.
import { ask, make } from "./api.js"
import { say } from "./words.js"

export class Queue {
  constructor(section, list, announce) {
    Object.assign(this, { section, list, announce, entries: new Map() })
  }

  ids() {
    return [...this.entries.keys()]
  }

  has(id) {
    return this.entries.has(id)
  }

  track(job) {
    const known = this.entries.get(job.id)
    if (known) Object.assign(known.job, job)
    else this.entries.set(job.id, { job, ...this.#row(job) })
    this.#draw(this.entries.get(job.id))
  }

  drop(id) {
    const entry = this.entries.get(id)
    if (entry?.picture.src) URL.revokeObjectURL(entry.picture.src)
    entry?.li.remove()
    this.entries.delete(id)
    this.section.hidden = this.entries.size === 0
  }

  redraw() {
    for (const entry of this.entries.values()) this.#draw(entry)
  }

  preview(id, base64) {
    const entry = this.entries.get(id)
    if (!entry) return
    const bytes = Uint8Array.from(atob(base64), c => c.charCodeAt(0))
    if (entry.picture.src) URL.revokeObjectURL(entry.picture.src)
    entry.picture.src = URL.createObjectURL(new Blob([bytes], { type: "image/webp" }))
    entry.picture.hidden = false
    entry.nothing.hidden = true
  }

  #row(job) {
    const picture = make("img", { alt: "", width: 80, height: 80, hidden: true }), nothing = make("span", { class: "nothing" })
    const bar = make("progress", { "aria-label": job.prompt ?? job.id }), line = make("span", { class: "quiet" })
    const stop = make("button", { type: "button", on: { click: () => ask("DELETE", `/jobs/${job.id}`).catch(e => this.announce(e.message)) } })
    const li = make("li", {}, make("span", {}, picture, nothing), make("div", {}, make("p", {}, job.prompt ?? job.mood ?? job.id), bar, line), stop)
    this.list.append(li)
    return { li, picture, nothing, bar, line, stop }
  }

  #draw({ job, bar, line, stop }) {
    stop.textContent = say("cancel")
    stop.setAttribute("aria-label", say("cancelOf", job.prompt ?? job.mood ?? job.id))
    if (job.steps_total) {
      bar.max = job.steps_total
      bar.value = job.step ?? 0
      line.textContent = say("step", job.step ?? 0, job.steps_total)
    } else {
      bar.removeAttribute("value")
      line.textContent = job.waits ?? say(job.state === "running" ? "running" : "waiting")
    }
    bar.hidden = job.state !== "running"
    this.section.hidden = this.entries.size === 0
  }
}
