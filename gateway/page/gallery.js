// What has been made: pages of a list without an end. Pages far from the window are only their height, and of what
// they show only what a list needs is kept.
import { ask, make } from "./api.js"
import { say } from "./words.js"

const PAGE = 60, NEAR = 1200

/* The parts of a job's file that the page needs. */
export function items(job) {
  const files = (job.files ?? []).filter(f => f.role === "main" && f.url)
  const picture = (job.files ?? []).find(f => f.role === "spectrogram" && f.url)
  return files.map(f => ({ job, file: f, poster: picture }))
}

export function describe(item) {
  const name = `${item.job.prompt ?? item.job.mood ?? item.job.id} · ${item.file.seed ?? ""}`
  return item.job.starred ? `${name} · ${say("starred")}` : name
}

export const isPicture = file => file.mime.startsWith("image/")
export const isMesh = file => file.mime === "model/gltf-binary"

/* Addresses of this origin alone: the gateway may be reached by another name than it knows. */
export function here(url) {
  return new URL(url, location.href).pathname
}

/* What a list shows of a result; the rest is asked for when it is opened. */
function thin(item) {
  const { id, prompt, mood, modality, fast, starred, tags, model } = item.job, { name, url, mime, seed, width, height, thumb, variant } = item.file
  item.job = { id, prompt, mood, modality, fast, starred, tags: tags?.length ? tags : undefined, model, thin: true }
  item.file = { name, url, mime, seed, width, height, thumb, variant }
  delete item.tile
}

export class Gallery {
  constructor(grid, end, actions) {
    Object.assign(this, { grid, end, actions, pages: [], items: [], query: {}, marked: new Set(), gone: new Set(), round: 0 })
    this.observer = new IntersectionObserver(seen => this.#seen(seen), { rootMargin: `${NEAR}px` })
    this.tail = new IntersectionObserver(seen => seen.some(s => s.isIntersecting) && this.more(), { rootMargin: `${NEAR}px` })
    this.tail.observe(end)
    new ResizeObserver(() => this.#fit()).observe(grid)
    grid.addEventListener("keydown", e => this.#move(e))
  }

  /* Begins anew with other filters. */
  async reset(query) {
    this.round++
    for (const p of this.pages) this.observer.unobserve(p.box)
    this.grid.replaceChildren()
    Object.assign(this, { pages: [], items: [], query, after: undefined, finished: false, loading: false })
    await this.more()
  }

  async more() {
    if (this.loading || this.finished) return
    this.loading = true
    const round = this.round, { words, kind, model, tag, starred } = this.query, q = new URLSearchParams({ limit: PAGE, state: "done" })
    for (const [name, value] of Object.entries({ after: this.after, q: words, modality: kind, model, tag, starred: starred ? "true" : "" }))
      if (value) q.set(name, value)
    try {
      const told = await ask("GET", `${words ? "/search" : "/jobs"}?${q}`)
      if (round !== this.round) return
      this.after = told.next
      this.finished = !told.next
      const found = told.jobs.flatMap(items)
      if (found.length) this.#addPage(found)
      this.end.textContent = !this.finished ? "" : this.items.length ? say("ends") : say(q.size > 2 ? "found" : "none")
    } catch (e) {
      this.finished = true
      this.end.textContent = e.message
    } finally {
      this.loading = false
    }
    /* Looked at afresh: the window may not be full yet, and what stays near tells nothing by itself. */
    this.tail.unobserve(this.end)
    this.tail.observe(this.end)
  }

  #fits(job) {
    const { words, kind, model, tag, starred } = this.query
    return !words && !(kind && kind !== job.modality) && !(model && model !== job.model) && !(tag && !job.tags?.includes(tag)) &&
      !(starred && !job.starred)
  }

  /* A job that has just ended stands before the others, if it fits the filters. */
  add(job) {
    const known = new Set(this.items.slice(0, 500).map(i => i.job.id))
    const found = known.has(job.id) || !this.#fits(job) ? [] : items(job)
    if (!found.length) return
    this.items.unshift(...found)
    if (this.pages.length && this.pages[0].items.length < 2 * PAGE) {
      this.pages[0].items.unshift(...found)
      this.#fill(this.pages[0])
    } else {
      this.#addPage(found, true)
    }
    this.end.textContent = ""
  }

  /* What is deleted leaves its place, and finds it again when that is taken back. */
  hide(id, away = true) {
    if (away) this.gone.add(id)
    else this.gone.delete(id)
    for (const page of this.pages) if (page.full && page.items.some(i => i.job.id === id)) this.#fill(page)
  }

  /* Its marks have changed. */
  redraw(id) {
    for (const page of this.pages) if (page.full && page.items.some(i => i.job.id === id)) this.#fill(page)
  }

  #addPage(found, first = false) {
    const page = { items: found, box: make("div", { class: "page", role: "list" }) }
    page.box.page = page
    if (first) {
      this.pages.unshift(page)
      this.grid.prepend(page.box)
    } else {
      this.pages.push(page)
      for (const item of found) this.items.push(item)
      this.grid.append(page.box)
    }
    this.#fill(page)
    this.observer.observe(page.box)
  }

  #fill(page) {
    const focused = page.box.contains(document.activeElement) && document.activeElement.item
    const shown = page.items.filter(i => !this.gone.has(i.job.id))
    page.box.style.height = ""
    page.box.replaceChildren(...shown.map(i => make("div", { role: "listitem" }, this.#tile(i))))
    page.box.hidden = shown.length === 0
    page.full = true
    if (focused && shown.includes(focused)) focused.tile.focus()
    if (!this.grid.querySelector("[tabindex='0']")) page.box.querySelector(".tile")?.setAttribute("tabindex", "0")
  }

  #empty(page) {
    page.box.style.height = `${page.box.offsetHeight}px`
    page.box.replaceChildren()
    page.full = false
    for (const item of page.items) if (!this.marked.has(item)) thin(item)
  }

  #seen(changes) {
    for (const { target, isIntersecting } of changes) {
      const page = target.page
      if (isIntersecting && !page.full) this.#fill(page)
      else if (!isIntersecting && page.full && !target.contains(document.activeElement)) this.#empty(page)
    }
  }

  /* Another width: what is far away has the height that its rows would take. */
  #fit() {
    const full = this.pages.find(p => p.full && !p.box.hidden), tile = full?.box.querySelector(".tile")
    if (!tile || this.across === this.grid.clientWidth) return
    this.across = this.grid.clientWidth
    const style = getComputedStyle(full.box), gap = Number.parseFloat(style.rowGap) || 0
    const columns = style.gridTemplateColumns.split(" ").length, height = tile.offsetHeight + gap
    for (const p of this.pages) if (!p.full) p.box.style.height = `${Math.ceil(p.items.length / columns) * height - gap}px`
  }

  #tile(item) {
    const name = describe(item), sound = item.file.mime.startsWith("audio/")
    const sign = sound ? "♪" : item.job.modality === "world" ? "△" : item.job.modality === "video" || item.file.mime.startsWith("video/") ? "▶" : ""
    const picture = sound ? item.poster : item.file, small = item.file.thumb ?? (picture && isPicture(picture) ? picture.url : undefined)
    const inside = small
      ? make("img", { src: here(small), alt: name, loading: "lazy", decoding: "async", width: picture?.width ?? 256, height: picture?.height ?? 256 })
      : make("span", { class: "sound", role: "img", "aria-label": name }, sign || "·")
    const tile = make("button", {
      type: "button", class: "tile", tabindex: "-1", "aria-pressed": this.marked.has(item) ? "true" : undefined,
      on: { click: () => this.actions.open(item) },
    }, inside, make("span", { class: "signs", "aria-hidden": "true" }, `${item.job.starred ? "★" : ""}${sign}`),
    make("span", { class: "name", "aria-hidden": "true" }, item.job.prompt ?? item.job.mood ?? ""))
    tile.item = item
    item.tile = tile
    return tile
  }

  /* All four arrows, Home, End: one tile is in the order of tabs, the others are a step away. */
  #move(e) {
    const tiles = [...this.grid.querySelectorAll(".tile")], at = tiles.indexOf(document.activeElement)
    if (at < 0) return
    if (e.key === "f" && !e.ctrlKey && !e.metaKey && !e.altKey && this.actions.letters()) return this.actions.star(tiles[at].item)
    const across = tiles.filter(t => t.offsetTop === tiles[at].offsetTop && t.closest(".page") === tiles[at].closest(".page")).length || 1
    const steps = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: across, ArrowUp: -across, Home: -at, End: tiles.length - 1 - at }
    if (!(e.key in steps)) return
    e.preventDefault()
    if (e.key === "Home" && this.pages.length && !this.pages[0].full) this.#fill(this.pages[0])
    const to = e.key === "Home" ? this.grid.querySelector(".tile") : tiles[Math.max(0, Math.min(tiles.length - 1, at + steps[e.key]))]
    this.rove(to, tiles[at])
  }

  rove(to, from = this.grid.querySelector(".tile[tabindex='0']")) {
    if (from) from.tabIndex = -1
    to.tabIndex = 0
    to.focus()
  }

  neighbour(item, step) {
    let at = this.items.indexOf(item)
    if (at < 0) return undefined
    do at += step
    while (this.items[at] && this.gone.has(this.items[at].job.id))
    if (step > 0 && at + PAGE > this.items.length) this.more()
    return this.items[at]
  }

  mark(item) {
    if (this.marked.has(item)) this.marked.delete(item)
    else {
      if (this.marked.size === 2) this.marked.delete(this.marked.values().next().value)
      this.marked.add(item)
    }
    for (const t of this.grid.querySelectorAll(".tile")) {
      if (this.marked.has(t.item)) t.setAttribute("aria-pressed", "true")
      else t.removeAttribute("aria-pressed")
    }
    return [...this.marked]
  }
}
