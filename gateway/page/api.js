// What the page asks of the gateway it came from.

import { language, languages, say } from "./words.js"

/* What a person can do about it is said in the language of the page; what is wrong with a field, by the server alone. */
function inWords(status, error) {
  const own = error?.message ?? `HTTP ${status}`
  return languages[language][`refused${status}`] ? say(`refused${status}`, own) : own
}

export class Refused extends Error {
  constructor(status, error) {
    super(inWords(status, error))
    this.status = status
    this.field = error?.field
  }
}

/* Seeds have 64 bits, which JavaScript's numbers do not hold: long ones are texts here. */
function read(text) {
  try {
    return JSON.parse(text.replace(/"seed":(\d{16,})/g, '"seed":"$1"'))
  } catch {
    return {}
  }
}

/* A job that has ended; what of it concerns a list is asked for by whoever shows it. */
export const job = id => ask("GET", `/jobs/${encodeURIComponent(id)}`)
export const change = (id, fields) => ask("PATCH", `/jobs/${encodeURIComponent(id)}`, fields)

export async function ask(method, path, body, headers = {}) {
  const answer = await fetch(path, {
    method, headers: body === undefined ? headers : { "Content-Type": "application/json", ...headers },
    body: body === undefined ? undefined : JSON.stringify(body),
  })
  const told = read(await answer.text())
  if (!answer.ok) throw new Refused(answer.status, told.error)
  return told
}

/* The browser connects again by itself, and says where it was: nothing is missed and nothing comes twice. What was refused, as
 * by a proxy whose server is away, it gives up: then it is tried anew from there, while `again()` says so. */
export function listen(handlers, onLost, onOpen, again) {
  let lost = false, last = ""
  function open() {
    const events = new EventSource(last ? `/events?after=${last}` : "/events")
    events.addEventListener("error", async () => {
      if (!lost) onLost()
      lost = true
      if (events.readyState === EventSource.CLOSED && await again()) setTimeout(open, 3000)
    })
    events.addEventListener("open", () => {
      onOpen(lost)
      lost = false
    })
    for (const name of ["ready", "delayed", "blocked", "running", "progress", "preview", "variant", "done", "failed", "cancelled"])
      events.addEventListener(name, e => {
        last = e.lastEventId || last
        handlers(name, JSON.parse(e.data))
      })
  }
  open()
  return true
}

/* An element with attributes and children; texts are texts, never HTML. */
export function make(tag, attributes = {}, ...children) {
  const e = document.createElement(tag)
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "on") for (const [event, f] of Object.entries(value)) e.addEventListener(event, f)
    else if (value !== undefined && value !== false) e.setAttribute(name, value === true ? "" : value)
  }
  e.append(...children)
  return e
}
