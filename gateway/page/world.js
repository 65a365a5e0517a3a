// A landscape to go around: by keys, buttons, mouse and finger; its colours from above where there is no WebGL.
import { make } from "./api.js"
import { Damaged, readGlb } from "./glb.js"
import { openGround } from "./ground.js"
import { say } from "./words.js"

const TURN = Math.PI / 12, TILT = Math.PI / 24, LOWEST = 0.12, STEEPEST = 1.5, NEAREST = 0.5, FARTHEST = 3, CLOSER = 0.85
const START = { turn: 0.5, tilt: 0.55, far: 1.45 }, ROUND_MS = 40000
const keys = { ArrowLeft: "left", ArrowRight: "right", ArrowUp: "up", ArrowDown: "down", "+": "nearer", "=": "nearer", "-": "farther",
  PageUp: "nearer", PageDown: "farther", Home: "front", " ": "round" }
const signs = { left: "←", right: "→", up: "↑", down: "↓", nearer: "+", farther: "−", front: "⌂" }
const sides = ["south", "southEast", "east", "northEast", "north", "northWest", "west", "southWest"]

export class World {
  /* still: nothing moves by itself. turntable(): asks for it as an animation. */
  constructor(frame, { url, name, still, thumb, turntable }) {
    Object.assign(this, { url, name, still, turntable, ...START, hands: new Map() })
    this.box = make("figure", { class: "world" }, thumb ? make("img", { src: thumb, alt: name }) : "")
    frame.replaceChildren(this.box)
    this.ready = this.#open()
  }

  close() {
    this.closed = true
    cancelAnimationFrame(this.next)
    this.watch?.disconnect()
    this.ground?.close()
    if (this.flat) URL.revokeObjectURL(this.flat)
  }

  async #open() {
    try {
      const answer = await fetch(this.url)
      if (!answer.ok) throw new Damaged("notFetched", answer.status)
      this.land = readGlb(await answer.arrayBuffer())
      const { low, high } = this.land
      this.size = Math.max(...high.map((v, i) => v - low[i])) || 1
      this.target = high.map((v, i) => (v + low[i]) / 2)
      const canvas = make("canvas", { tabindex: "0", role: "application", "aria-label": this.#told(), "aria-describedby": "world-keys" })
      const ground = await openGround(canvas, this.land, this.size)
      if (this.closed) return ground?.close()
      if (!ground) return this.#flat("noWebgl")
      this.#show(canvas, ground)
    } catch (e) {
      if (!this.closed) this.#broken(e)
    }
  }

  /* What there is to see, in words. */
  #told() {
    const { low, high, water } = this.land, [wide, tall, deep] = high.map((v, i) => Math.round(v - low[i]))
    return `${this.name}: ${say("landscape", wide, deep, tall)} ${water === undefined ? say("noWater") : say("water", Math.round(water - low[1]))}`
  }

  #broken(e) {
    this.box.append(make("p", { class: "bad", role: "alert" }, e instanceof Damaged ? say(e.word, ...e.values) : say("notFetched", e.message)))
  }

  /* Its colours from above. */
  #flat(why) {
    this.flat = this.land.picture && URL.createObjectURL(this.land.picture)
    const words = make("p", { class: "quiet", role: "status" }, say(why))
    this.box.replaceChildren(...(this.flat ? [make("img", { src: this.flat, alt: this.#told() })] : [make("p", {}, this.#told())]), words,
      make("button", { type: "button", on: { click: this.turntable } }, say("turntable")))
  }

  #show(canvas, ground) {
    const button = (word, sign) => make("button", { type: "button", "aria-label": say(word), title: say(word), on: { click: () => this.#go(word) } }, sign)
    this.turner = make("button", { type: "button", id: "halt", on: { click: () => this.#go("round") } })
    this.where = make("p", { class: "quiet", role: "status" })
    Object.assign(this, { canvas, ground, round: !this.still })
    this.box.replaceChildren(canvas, make("div", { class: "row", role: "group", "aria-label": say("goAround") },
      ...Object.entries(signs).map(([word, sign]) => button(word, sign)), this.turner),
    this.where, make("figcaption", { class: "quiet" }, make("span", {}, this.#told()), " ", make("span", { id: "world-keys" }, say("worldKeys"))))
    canvas.addEventListener("keydown", e => {
      const word = !e.ctrlKey && !e.metaKey && !e.altKey && keys[e.key]
      if (!word) return
      e.preventDefault()
      e.stopPropagation()
      this.#go(word)
    })
    canvas.addEventListener("webglcontextlost", () => { if (!this.closed) { this.close(); this.#flat("lostWebgl") } })
    this.#hands(canvas)
    this.watch = new ResizeObserver(() => this.#fit())
    this.watch.observe(canvas)
    this.#fit()
    this.#rounds()
  }

  #fit() {
    const scale = Math.min(devicePixelRatio, 2), { clientWidth, clientHeight } = this.canvas
    Object.assign(this.canvas, { width: Math.max(1, clientWidth * scale), height: Math.max(1, clientHeight * scale) })
    this.#draw()
  }

  #draw() {
    const { turn, tilt, far, size, target, canvas } = this, flat = Math.cos(tilt) * far * size
    const [x, y, z] = target
    this.ground.draw([x + Math.sin(turn) * flat, y + Math.sin(tilt) * far * size, z + Math.cos(turn) * flat], target)
    Object.assign(canvas.dataset, { drawn: this.land.parts.map(p => p.name).join(" "), turn: turn.toFixed(3), tilt: tilt.toFixed(3), far: far.toFixed(3) })
  }

  /* Around by itself until somebody takes it in hand. */
  #rounds() {
    this.turner.textContent = say(this.round ? "stop" : "turnRound")
    let before
    const step = now => {
      if (this.closed || !this.round) return
      if (before !== undefined) this.turn += 2 * Math.PI * (now - before) / ROUND_MS
      before = now
      this.#draw()
      this.next = requestAnimationFrame(step)
    }
    cancelAnimationFrame(this.next)
    if (this.round) this.next = requestAnimationFrame(step)
  }

  #halt() {
    if (!this.round) return
    this.round = false
    this.#rounds()
  }

  #see(turn, tilt, far) {
    this.turn = turn % (2 * Math.PI)
    this.tilt = Math.min(STEEPEST, Math.max(LOWEST, tilt))
    this.far = Math.min(FARTHEST, Math.max(NEAREST, far))
    this.#draw()
  }

  #go(word) {
    const { turn, tilt, far } = this
    if (word === "round") {
      this.round = !this.round
      return this.#rounds()
    }
    this.#halt()
    this.#see(...{ left: [turn - TURN, tilt, far], right: [turn + TURN, tilt, far], up: [turn, tilt + TILT, far], down: [turn, tilt - TILT, far],
      nearer: [turn, tilt, far * CLOSER], farther: [turn, tilt, far / CLOSER], front: [START.turn, START.tilt, START.far] }[word])
    const at = Math.round(this.turn / (Math.PI / 4)) + 8
    this.where.textContent = say("seenFrom", say(sides[at % 8]), Math.round(this.tilt * 180 / Math.PI))
  }

  /* One finger or the mouse turns and tilts it, two come nearer, and so does the wheel. */
  #hands(canvas) {
    const { hands } = this, apart = () => { const [a, b] = hands.values(); return Math.hypot(a.x - b.x, a.y - b.y) || 1 }
    canvas.addEventListener("pointerdown", e => {
      this.#halt()
      canvas.setPointerCapture(e.pointerId)
      hands.set(e.pointerId, { x: e.clientX, y: e.clientY })
    })
    canvas.addEventListener("pointermove", e => {
      const hand = hands.get(e.pointerId), two = hands.size === 2
      if (!hand) return
      const before = two && apart(), dx = e.clientX - hand.x, dy = e.clientY - hand.y
      Object.assign(hand, { x: e.clientX, y: e.clientY })
      if (two) this.#see(this.turn, this.tilt, this.far * before / apart())
      else this.#see(this.turn - Math.PI * dx / canvas.clientWidth, this.tilt + dy / canvas.clientHeight, this.far)
    })
    for (const event of ["pointerup", "pointercancel"]) canvas.addEventListener(event, e => hands.delete(e.pointerId))
    canvas.addEventListener("wheel", e => {
      if (document.activeElement !== canvas) return
      e.preventDefault()
      this.#halt()
      this.#see(this.turn, this.tilt, this.far * Math.exp(Math.sign(e.deltaY) * 0.1))
    }, { passive: false })
  }
}
