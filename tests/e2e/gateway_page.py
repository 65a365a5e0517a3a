#!/usr/bin/env python3
"""The page in Chromium: from prompt to picture by keyboard alone, a connection that is lost, settings that come back, two compared,
keys, languages, small windows; nothing against its policy. Skipped where no Chromium is installed."""
import importlib.util, pathlib, time

from cdp import BROWSERS, Page
from gateway_lib import *

TILES = "document.querySelectorAll('.tile').length"
AXE = ("axe_playwright_python", "axe_core_python")


def axe():
    """axe-core's text, from one of the packages that carry it; None where there is none."""
    for name in AXE:
        spec = importlib.util.find_spec(name)
        for folder in spec.submodule_search_locations if spec else []:
            path = pathlib.Path(folder) / "axe.min.js"
            if path.exists():
                return path.read_text()
    return None


def by_keyboard(page, g):
    check(page.until("document.querySelector('#model option')?.textContent"), "the page comes up with its models")
    page.press("Tab")
    check(page.js("document.activeElement.className") == "skip", "the first Tab leads to the gallery's link")
    for _ in range(20):
        page.press("Tab")
        if page.js("document.activeElement.id") == "prompt":
            break
    check(page.js("document.activeElement.id") == "prompt", "Tabs lead to the prompt box")
    page.write("a boat by keyboard")
    page.press("Enter", modifiers=2)
    check(page.until("document.querySelectorAll('#jobs li').length || " + TILES), "Control Enter sends it, and it is shown")
    check(page.until(TILES + " === 1", 60), "its picture comes by itself")
    check(page.until("document.querySelector('.tile img').naturalWidth > 0"), "and is one")
    for _ in range(30):
        page.press("Tab")
        if page.js("document.activeElement.className") == "tile":
            break
    check(page.js("document.activeElement.className") == "tile", "Tabs lead to the picture")
    page.press("Enter")
    check(page.until("document.getElementById('view').open") and "a boat by keyboard" in page.js("document.getElementById('view').innerText"),
          "Enter opens it with its settings")
    page.press("Escape")
    check(page.until("!document.getElementById('view').open") and page.js("document.activeElement.className") == "tile",
          "Escape closes it, and the place is kept")
    alt = page.js("document.querySelector('.tile img').alt")
    check("a boat by keyboard" in alt and any(c.isdigit() for c in alt), "its name: prompt and seed", alt)


def drafts(page, g):
    page.js("document.getElementById('prompt').value = 'five of them'; document.getElementById('model').value = 'ink'")
    page.js("document.getElementById('n').value = ''")
    page.js("document.getElementById('make').requestSubmit(document.getElementById('drafts'))")
    if not page.until("document.getElementById('trouble').textContent || " + TILES + " === 6", 90):
        check(False, "five drafts", page.js("document.body.innerText"))
    check(page.js(TILES) == 6, "five drafts", page.js("document.getElementById('trouble').textContent"))
    page.js("document.getElementById('model').value = ''")


def mistakes(page, g):
    page.js("document.getElementById('trouble').textContent = ''")
    page.js("document.getElementById('prompt').value = 'x'; document.getElementById('sampler').value = 'no-such'")
    page.js("document.getElementById('more').open = true")
    page.js("document.getElementById('make').requestSubmit(document.getElementById('go'))")
    check(page.until("document.getElementById('trouble').textContent.includes('no-such')"), "a mistake is told in words",
          page.js("document.getElementById('trouble').textContent"))
    check(page.js("document.activeElement.id") == "sampler" and page.js("document.activeElement.getAttribute('aria-invalid')") == "true",
          "at its field", page.js("document.activeElement.id"))
    page.js("document.getElementById('sampler').value = ''; document.getElementById('more').open = false")


def settings(page, g):
    for prompt, seed in (("first of two", "18446744073709551615"), ("second of two", "7")):
        job = g.ask("POST", "/jobs", {"prompt": prompt, "seed": seed, **QUICK})[2]
        g.becomes(job["id"], "done")
    check(page.until("document.querySelector('.tile .name').textContent === 'second of two'"), "what others send is shown as it ends")
    page.js("document.querySelectorAll('.tile')[1].click()")
    page.until("document.getElementById('view').open")
    page.js("document.querySelectorAll('#view-actions button')[0].click()")
    got = page.js("['prompt', 'seed', 'steps', 'size', 'sampler'].map(i => document.getElementById(i).value)")
    check(got == ["first of two", "18446744073709551615", "3", "64x64", "ddim"], "its settings come back into the box, the seed whole", str(got))
    for at in (0, 1):
        page.js(f"document.querySelectorAll('.tile')[{at}].click()")
        page.until("document.getElementById('view').open")
        page.press("c")
        page.until("!document.getElementById('view').open")
    check(page.until("document.getElementById('two').open") and page.js("document.querySelectorAll('#pair img').length") == 2, "two are compared")
    page.js("document.getElementById('right').click()")
    check("60%" in page.js("document.querySelectorAll('#pair img')[1].style.clipPath"), "the share by a button too")
    page.press("Escape")
    page.js("document.querySelectorAll('.tile')[0].click()")
    page.until("document.getElementById('view').open")
    page.press("ArrowRight")
    check(page.until("document.getElementById('view-title').textContent === 'first of two'"), "an arrow leads to the next")
    page.press("Escape")


def search(page, g):
    page.js("(w => { w.value = 'keyboard'; w.dispatchEvent(new Event('input')) })(document.getElementById('words'))")
    check(page.until(TILES + " === 1 && location.search === '?q=keyboard'"), "search, kept in the address", page.js("location.search"))
    page.js("(w => { w.value = 'nothingofthat'; w.dispatchEvent(new Event('input')) })(document.getElementById('words'))")
    check(page.until("document.getElementById('end').textContent.includes('Nothing')"), "nothing fits: it is said")
    page.js("(w => { w.value = ''; w.dispatchEvent(new Event('input')) })(document.getElementById('words'))")
    check(page.until(TILES + " >= 3"), "and back")


def languages(page):
    page.js("document.getElementById('language').click()")
    check(page.js("document.documentElement.lang") == "ru" and "Создать" in page.js("document.getElementById('go').textContent"), "Russian")
    page.js("document.getElementById('language').click()")
    check(page.js("document.documentElement.lang") == "en", "and English")
    page.js("document.getElementById('theme').click()")
    first = page.js("getComputedStyle(document.body).backgroundColor")
    page.js("document.getElementById('theme').click()")
    check(page.js("getComputedStyle(document.body).backgroundColor") != first, "dark and light")
    page.ask("Emulation.setDeviceMetricsOverride", width=320, height=640, deviceScaleFactor=1, mobile=False)
    check(page.until("document.documentElement.scrollWidth <= 320"), "320 pixels are enough",
          str(page.js("document.documentElement.scrollWidth")))
    page.ask("Emulation.clearDeviceMetricsOverride")


def accessible(page, what):
    text = axe()
    if text is None:
        print(f"skip axe-core on {what}: none of {', '.join(AXE)} is installed", flush=True)
        return
    page.js("delete window.axe")
    # The policy allows no other script; the debugger's own may run.
    page.ask("Runtime.evaluate", expression=text)
    told = page.js("axe.run({runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa']})"
                   ".then(r => r.violations.map(v => `${v.id}: ${v.nodes.map(n => n.html).join(' ')}`))")
    check(told == [], f"axe-core finds nothing on {what}", str(told))


def lost(page, g, place):
    port = g.port
    g.kill()
    check(page.until("document.getElementById('state').textContent.includes('lost')"), "a lost connection is told")
    g = Gateway(place, listen=f"127.0.0.1:{port}")
    job = g.ask("POST", "/jobs", {"prompt": "after the cut", **QUICK})[2]
    g.becomes(job["id"], "done")
    check(page.until("document.querySelector('.tile .name').textContent === 'after the cut'", 40), "and it goes on where it was")
    return g


def with_key(page, place, g):
    key = place.sumi("keys", "add", "anna", "-q").stdout.strip().split()[-1]
    check(wait_for(lambda: g.get("/models")[0] == 401, 30), "keys are there: without one nothing is told")
    page.go(f"http://127.0.0.1:{g.port}/")
    check(page.until("!document.getElementById('door').hidden"), "the page asks for a key")
    accessible(page, "the door")
    page.js("document.getElementById('key').value = 'sumi_wrong'; document.getElementById('key-form').requestSubmit()")
    check(page.until("document.getElementById('state').textContent.includes('key')"), "a wrong one is told")
    page.js(f"document.getElementById('key').value = '{key}'; document.getElementById('key-form').requestSubmit()")
    check(page.until("document.getElementById('door').hidden && !document.getElementById('leave').hidden"), "a right one opens")
    check(page.js("document.cookie") == "" and page.js(TILES) == 0, "the key is out of scripts' reach; others' pictures are not hers")
    page.js("document.getElementById('prompt').value = 'annas'; document.getElementById('make').requestSubmit(document.getElementById('go'))")
    check(page.until(TILES + " === 1", 60), "hers are")
    page.go(f"http://127.0.0.1:{g.port}/")
    check(page.until(TILES + " === 1"), "she stays signed in")
    page.js("document.getElementById('leave').click()")
    check(page.until("!document.getElementById('door').hidden"), "and signs out")
    page.go(f"http://127.0.0.1:{g.port}/#key={key}")
    check(page.until(TILES + " === 1") and page.js("location.hash") == "", "a link with the key in it opens too, and hides it")
    page.js("fetch('/logout', {method: 'POST'})")


def main():
    if not any(map(shutil.which, BROWSERS)):
        print(f"skip the page: none of {', '.join(BROWSERS)} is installed", flush=True)
        return
    place = Place(packs=f"{PACKS}:{ROOT / 'models'}")
    place.start()
    g = Gateway(place)
    headers = g.get("/")[1]
    policy = headers["Content-Security-Policy"]
    check("default-src 'none'" in policy and "unsafe" not in policy and headers["X-Content-Type-Options"] == "nosniff", "its policy", policy)
    check(g.get("/page/nothing.js")[0] == 404 and g.get("/page/page.js")[1]["Content-Type"].startswith("text/javascript"), "its files")
    page = Page(f"http://127.0.0.1:{g.port}/")
    try:
        by_keyboard(page, g)
        mistakes(page, g)
        drafts(page, g)
        settings(page, g)
        search(page, g)
        languages(page)
        accessible(page, "the page")
        page.js("document.querySelectorAll('.tile')[0].click()")
        page.until("document.getElementById('view').open")
        accessible(page, "a picture")
        page.press("Escape")
        said = [s for s in page.said if "400 (Bad Request)" not in s]
        check(said == [], "the browser has nothing to complain of", str(said))
        g = lost(page, g, place)
        with_key(page, place, g)
        check(not any("Content Security Policy" in s for s in page.said), "nothing was against its policy", str(page.said))
    finally:
        page.close()
        g.stop()
        place.stop()
    finish()


main()
