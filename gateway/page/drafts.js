// Five drafts in a row: pick one, and go on with it.
import { job as get, make } from "./api.js"
import { describe, here, items } from "./gallery.js"
import { say } from "./words.js"

export const DRAFTS = 5

export class Drafts {
  constructor(section, actions) {
    Object.assign(this, { section, actions, row: section.querySelector("#drafts-row"), tools: section.querySelector("#drafts-actions") })
    section.querySelector("#drafts-close").addEventListener("click", () => this.close())
  }

  /* The row of a job, which may be under way. */
  open(id) {
    Object.assign(this, { id, slots: [], chosen: undefined })
    this.section.hidden = false
    this.row.replaceChildren(...Array.from({ length: DRAFTS }, (_, i) => {
      const slot = make("button", { type: "button", class: "tile", disabled: true, "aria-label": say("draft", i + 1), on: { click: () => this.#pick(i) } },
        make("span", { class: "sound" }, String(i + 1)))
      this.slots.push({ slot })
      return make("li", {}, slot)
    }))
    this.#tools()
    return this.look(id)
  }

  close() {
    this.section.hidden = true
    this.id = undefined
    this.row.replaceChildren()
    this.actions.closed()
  }

  /* Something has become of a job: perhaps of this one. */
  async look(id) {
    if (id !== this.id) return
    const job = await get(id).catch(() => undefined)
    if (!job || id !== this.id) return
    for (const item of items(job)) {
      const at = this.slots[item.file.variant]
      if (!at || at.item) continue
      at.item = item
      const picture = item.file.thumb ?? item.poster?.url ?? item.file.url
      at.slot.disabled = false
      at.slot.removeAttribute("aria-label")
      at.slot.replaceChildren(make("img", { src: here(picture), alt: describe(item), width: 256, height: 256 }))
    }
  }

  #pick(i) {
    this.chosen = this.slots[i].item
    this.slots.forEach((s, k) => k === i ? s.slot.setAttribute("aria-pressed", "true") : s.slot.removeAttribute("aria-pressed"))
    this.#tools()
  }

  #tools() {
    const { chosen, actions } = this, button = (word, f, main) => make("button", {
      type: "button", class: main && "main", on: { click: f } }, say(word))
    if (!chosen) return this.tools.replaceChildren(make("p", { class: "quiet" }, say("pick")))
    const list = [button("look", () => actions.open(chosen)), button("similar", () => actions.similar(chosen)),
      button("reuse", () => actions.reuse(chosen))]
    if (chosen.job.fast) list.unshift(button("whole", () => actions.whole(chosen), true))
    this.tools.replaceChildren(...list)
  }
}
