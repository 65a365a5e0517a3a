// What has been made: pages of a list without an end. Pages far from the window are only their height.
import { ask, make } from "./api.js"
import { say } from "./words.js"

const PAGE = 60

/* The parts of a job's file that the page needs. */
function items(job) {
  const files = (job.files ?? []).filter(f => f.role === "main" && f.url)
  const picture = (job.files ?? []).find(f => f.role === "spectrogram" && f.url)
  return files.map(f => ({ job, file: f, poster: picture }))
}

export function describe(item) {
  return `${item.job.prompt ?? item.job.mood ?? item.job.id} · ${item.file.seed ?? ""}`
}

/* Addresses of this origin alone: the gateway may be reached by another name than it knows. */
export function here(url) {
  return new URL(url, location.href).pathname
}

export class Gallery {
  constructor(grid, end, open) {
    Object.assign(this, { grid, end, open, pages: [], items: [], query: {}, marked: new Set(), round: 0 })
    this.observer = new IntersectionObserver(seen => this.#seen(seen), { rootMargin: "1200px" })
    this.tail = new IntersectionObserver(seen => seen.some(s => s.isIntersecting) && this.more(), { rootMargin: "1500px" })
    this.tail.observe(end)
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
    const round = this.round, q = new URLSearchParams({ limit: PAGE })
    if (this.after) q.set("after", this.after)
    if (this.query.words) q.set("q", this.query.words)
    else q.set("state", "done")
    if (this.query.kind) q.set("modality", this.query.kind)
    try {
      const told = await ask("GET", `${this.query.words ? "/search" : "/jobs"}?${q}`)
      if (round !== this.round) return
      this.after = told.next
      this.finished = !told.next
      const found = told.jobs.filter(j => j.state === "done").flatMap(items)
      if (found.length) this.#addPage(found)
      this.end.textContent = !this.finished ? "" : this.items.length ? say("ends") : say(this.query.words ? "found" : "none")
    } catch (e) {
      this.finished = true
      this.end.textContent = e.message
    } finally {
      this.loading = false
    }
    /* The window may not be full yet. */
    if (round === this.round && !this.finished && this.end.getBoundingClientRect().top < innerHeight + 1500) this.more()
  }

  /* A job that has just ended stands before the others, if it fits the filters. */
  add(job) {
    if (this.query.words || (this.query.kind && this.query.kind !== job.modality)) return
    const known = new Set(this.items.slice(0, 500).map(i => i.job.id))
    const found = known.has(job.id) ? [] : items(job)
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

  #addPage(found, first = false) {
    const page = { items: found, box: make("div", { class: "page", role: "list" }) }
    page.box.page = page
    if (first) {
      this.pages.unshift(page)
      this.grid.prepend(page.box)
    } else {
      this.pages.push(page)
      this.items.push(...found)
      this.grid.append(page.box)
    }
    this.#fill(page)
    this.observer.observe(page.box)
  }

  #fill(page) {
    page.box.style.height = ""
    page.box.replaceChildren(...page.items.map(i => make("div", { role: "listitem" }, this.#tile(i))))
    page.full = true
    if (!this.grid.querySelector("[tabindex='0']")) page.box.querySelector(".tile")?.setAttribute("tabindex", "0")
  }

  #seen(changes) {
    for (const { target, isIntersecting } of changes) {
      const page = target.page
      if (isIntersecting && !page.full) {
        this.#fill(page)
      } else if (!isIntersecting && page.full && !target.contains(document.activeElement)) {
        target.style.height = `${target.offsetHeight}px`
        target.replaceChildren()
        page.full = false
      }
    }
  }

  #tile(item) {
    const name = describe(item), sound = item.file.mime.startsWith("audio/")
    const picture = sound ? item.poster : item.file, small = item.file.thumb ?? picture?.url
    const inside = small
      ? make("img", { src: here(small), alt: name, loading: "lazy", decoding: "async", width: picture?.width ?? 256, height: picture?.height ?? 256 })
      : make("span", { class: "sound", role: "img", "aria-label": name }, "♪")
    const tile = make("button", {
      type: "button", class: "tile", tabindex: "-1", "aria-pressed": this.marked.has(item) ? "true" : undefined,
      on: { click: () => this.open(item) },
    }, inside, make("span", { class: "name", "aria-hidden": "true" }, item.job.prompt ?? item.job.mood ?? ""))
    tile.item = item
    item.tile = tile
    return tile
  }

  /* All four arrows, Home, End: one tile is in the order of tabs, the others are a step away. */
  #move(e) {
    const tiles = [...this.grid.querySelectorAll(".tile")], at = tiles.indexOf(document.activeElement)
    if (at < 0) return
    const across = tiles.filter(t => t.offsetTop === tiles[at].offsetTop && t.closest(".page") === tiles[at].closest(".page")).length || 1
    const steps = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: across, ArrowUp: -across, Home: -at, End: tiles.length - 1 - at }
    if (!(e.key in steps)) return
    e.preventDefault()
    const to = tiles[Math.max(0, Math.min(tiles.length - 1, at + steps[e.key]))]
    tiles[at].tabIndex = -1
    to.tabIndex = 0
    to.focus()
  }

  neighbour(item, step) {
    return this.items[this.items.indexOf(item) + step]
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
