// A word that can be taken back.
import { make } from "./api.js"
import { say } from "./words.js"

const PATIENCE = 10000

/* What is deleted goes when nobody has taken it back for a while; who is at the button has all the time. */
export class Toast {
  constructor(box) {
    Object.assign(this, { box, waiting: [] })
    addEventListener("pagehide", () => this.flush())
    for (const [event, held] of [["mouseenter", true], ["focusin", true], ["mouseleave", false], ["focusout", false]])
      box.addEventListener(event, () => { this.held = held; if (!held) this.#wait() })
  }

  offer(text, act, undo) {
    this.waiting.push({ act, undo })
    this.box.replaceChildren(make("span", {}, text), make("button", { type: "button", id: "undo", on: { click: () => this.undo() } }, say("undo")))
    this.box.hidden = false
    this.#wait()
  }

  #wait() {
    clearTimeout(this.timer)
    this.timer = setTimeout(() => this.held && this.box.contains(document.activeElement) ? this.#wait() : this.flush(), PATIENCE)
  }

  undo() {
    const last = this.waiting.pop()
    last?.undo()
    if (!this.waiting.length) this.#close()
  }

  flush() {
    for (const { act } of this.waiting.splice(0)) act()
    this.#close()
  }

  #close() {
    clearTimeout(this.timer)
    this.held = false
    this.box.hidden = true
    this.box.replaceChildren()
  }
}
