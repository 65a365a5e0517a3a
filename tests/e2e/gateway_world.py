#!/usr/bin/env python3
"""Landscapes on the page, in Chromium: made there, gone around by keys, buttons, mouse and fingers, told in words; without WebGL their
colours; broken ones. Skipped where no Chromium is installed."""
import base64, shutil, struct

import axe
from cdp import BROWSERS, Page
from gateway_lib import *
from world_pack import world_tiny

JUDGE = axe.text()
CANVAS, TILES = ".world canvas", "document.querySelectorAll('#grid .tile').length"
AT = "(d => d ? [d.turn, d.tilt, d.far].map(Number) : [])(document.querySelector('.world canvas')?.dataset)"


def accessible(page, what):
    if JUDGE is None:
        print(f"skip axe-core on {what}: {axe.PACKAGE} is not installed and cannot be fetched", flush=True)
        return
    told = axe.violations(page, JUDGE)
    check(told == [], f"axe-core finds nothing on {what}", str(told))


def comes(page, g):
    page.go(f"http://127.0.0.1:{g.port}/")
    check(page.until("[...document.querySelectorAll('#kinds button')].some(b => b.textContent === 'Landscape')"), "landscapes are offered where a model is there")


def made(page, g):
    """By the prompt box; its tile has a picture, and opens."""
    page.js("[...document.querySelectorAll('#kinds button')].at(-1).click()")
    page.js("document.getElementById('prompt').value = 'a lake among peaks'; document.getElementById('seed').value = '5'; document.getElementById('steps').value = '2'")
    page.js("document.getElementById('make').requestSubmit(document.getElementById('go'))")
    check(page.until("document.getElementById('trouble').textContent || " + TILES, 60) and
          page.js("document.getElementById('trouble').textContent") == "", "one is made", page.js("document.getElementById('trouble').textContent"))
    check(page.until("document.querySelector('#grid .tile img').naturalWidth > 0"), "its tile shows it")
    return page.js("document.querySelector('#grid .tile').item.job.id")


def opened(page):
    page.js("document.querySelector('#grid .tile').click()")
    page.until("Boolean(document.querySelector('.world canvas, .world p'))")


def seen(page):
    """Drawn, told, turned, tilted, nearer; nothing moves by itself for who wants none of it."""
    page.ask("Emulation.setEmulatedMedia", features=[{"name": "prefers-reduced-motion", "value": "reduce"}])
    opened(page)
    check(page.until("document.querySelector('.world canvas')?.dataset.drawn") == "ground water", "ground and water are drawn",
          str(page.js("document.querySelector('.world').innerText")))
    told = page.js(f"document.querySelector('{CANVAS}').getAttribute('aria-label')")
    check("a lake among peaks" in told and "128" not in told and "127 × 127" in told and "water stands" in told, "told in words", told)
    first = page.pixels(CANVAS)
    check(len({tuple(first[i:i + 3]) for i in range(0, len(first), 3)}) > 20, "there is something to see")
    before = page.js(AT)
    time.sleep(0.2)
    check(page.js(AT) == before and page.pixels(CANVAS) == first, "nothing moves by itself where that is not wanted")
    page.js(f"document.querySelector('{CANVAS}').focus()")
    page.press("ArrowRight", "ArrowUp", "PageUp")
    turn, tilt, far = page.js(AT)
    check(turn > before[0] and tilt > before[1] and far < before[2], "keys turn, tilt and come nearer", f"{before} {turn} {tilt} {far}")
    check(page.js("document.getElementById('view').open") and sum(abs(a - b) for a, b in zip(first, page.pixels(CANVAS))) > 2000, "and it looks otherwise")
    check("Seen from the south-east, 39°" in page.js("document.querySelector('.world [role=status]').textContent"), "from where, is told")
    page.press("Home")
    check(page.js(AT) == before, "Home leads back", f"{before} {page.js(AT)}")
    for _ in range(40):
        page.press("ArrowDown", "PageUp")
    lowest = page.js(AT)
    check(lowest[1] > 0 and lowest[2] >= 0.5, "never below the ground", str(lowest))
    page.js("[...document.querySelectorAll('.world .row button')].find(b => b.getAttribute('aria-label') === 'To the left').click()")
    check(page.js(AT)[0] < lowest[0], "buttons do it too")
    accessible(page, "a landscape")


def hands(page):
    page.press("Home")
    x, y, width, height = page.js(f"(r => [r.left, r.top, r.width, r.height])(document.querySelector('{CANVAS}').getBoundingClientRect())")
    before, title = page.js(AT), page.js("document.getElementById('view-title').textContent")
    page.ask("Emulation.setTouchEmulationEnabled", enabled=True)
    at = lambda *places: [{"x": x + width * a, "y": y + height * b, "id": i} for i, (a, b) in enumerate(places)]
    for kind, places in (("touchStart", at((0.8, 0.5))), ("touchMove", at((0.5, 0.5))), ("touchMove", at((0.2, 0.6))), ("touchEnd", [])):
        page.ask("Input.dispatchTouchEvent", type=kind, touchPoints=places)
    turn, tilt, far = page.until(f"(a => Math.abs(a[0] - {before[0]}) > 1 && a)({AT})") or page.js(AT)
    check(turn > before[0] and tilt > before[1] and far == before[2], "a finger turns and tilts it", f"{before} {turn} {tilt} {far}")
    check(page.js("document.getElementById('view-title').textContent") == title, "and leads to no other one")
    for kind, places in (("touchStart", at((0.4, 0.5), (0.6, 0.5))), ("touchMove", at((0.2, 0.5), (0.8, 0.5))), ("touchEnd", [])):
        page.ask("Input.dispatchTouchEvent", type=kind, touchPoints=places)
    check(page.until(f"{AT}[2] < {far}"), "two come nearer", str(page.js(AT)))
    page.ask("Emulation.setTouchEmulationEnabled", enabled=False)


def turning(page):
    """It turns by itself until it is stopped, which a key does too; an animation of it does so as well."""
    page.press("Escape")
    page.ask("Emulation.setEmulatedMedia", features=[{"name": "prefers-reduced-motion", "value": "no-preference"}])
    opened(page)
    first = page.until(f"{AT}[0] > 0.5 && {AT}")
    check(first and page.until(f"{AT}[0] > {first[0]}"), "it turns")
    page.js("document.getElementById('halt').click()")
    stands = page.js(AT)
    time.sleep(0.2)
    check(page.js(AT) == stands and page.js("document.getElementById('halt').textContent") == "Let it turn", "and can be stopped")
    page.press("Escape")
    check(page.until("!document.querySelector('.world')"), "closed, it is gone")


def broken(page, g, id):
    """What comes is cut off, no such file, or lies about its parts: words say so, and nothing is drawn."""
    whole = g.get(f"/jobs/{id}/files/1.glb")[2]
    size, = struct.unpack("<I", whole[12:16])
    root, bin = json.loads(whole[20:20 + size]), whole[20 + size:]

    def changed(change):
        copy = json.loads(json.dumps(root))
        change(copy)
        text = json.dumps(copy).encode()
        text += b" " * (-len(text) % 4)
        return b"glTF" + struct.pack("<III", 2, 20 + len(text) + len(bin), len(text)) + b"JSON" + text + bin
    def set(path, value):
        def change(copy):
            for k in path[:-1]:
                copy = copy[k]
            copy[path[-1]] = value
        return changed(change)
    far = set(("bufferViews", 0, "byteLength"), 1 << 40)
    cases = [("cut off", whole[:len(whole) // 2], "cut off"), ("empty", b"", "no landscape"), ("a picture", b"\x89PNG\r\n\x1a\n" + bytes(64), "no landscape"),
             ("no JSON", whole[:20] + b"[" + whole[21:], "JSON"), ("a view beyond its end", far, "bufferViews[0]"),
             ("a count that is none", set(("accessors", 0, "count"), "many"), "accessors[0]"), ("more vertices than there are", set(("accessors", 0, "count"), 10 ** 9), "accessors[0]"),
             ("fewer vertices than corners name", changed(lambda r: [a.update(count=9) for a in r["accessors"][:3]]), "ground"),
             ("no scene", set(("scenes",), []), "JSON"), ("a texture that is none", whole[:len(whole) // 2 * 2 - 4096] + bytes(4096), "images"),
             ("another dialect of triangles", changed(lambda r: r["meshes"][0]["primitives"][0].update(mode=1)), "ground")]
    page.js("window.own = fetch; window.fetch = (at, ...more) => String(at).endsWith('.glb') ? Promise.resolve(new Response(window.file, {status: window.file ? 200 : 404})) : own(at, ...more)")
    for name, data, word in cases:
        page.js(f"window.file = Uint8Array.from(atob('{base64.b64encode(data).decode()}'), c => c.charCodeAt(0))")
        opened(page)
        told = page.until("document.querySelector('.world [role=alert]')?.textContent", 10)
        check(told and word in told and not page.js(f"document.querySelector('{CANVAS}')"), f"broken: {name}", str(told))
        page.press("Escape")
    page.js("window.file = undefined")
    opened(page)
    check("404" in (page.until("document.querySelector('.world [role=alert]')?.textContent", 10) or ""), "one that is not there")
    accessible(page, "a landscape that does not come")
    page.js("window.fetch = own")
    page.press("Escape")


def russian(page):
    page.js("document.getElementById('language').click()")
    opened(page)
    told = page.until(f"document.querySelector('{CANVAS}')?.getAttribute('aria-label')")
    check("ландшафт 127 × 127 метров" in told and "вода" in told, "in Russian", told)
    page.js("document.querySelectorAll('.world .row button')[1].click()")
    check("Вид с юг" in page.js("document.querySelector('.world [role=status]').textContent"), "and from where")
    page.press("Escape")
    page.js("document.getElementById('language').click()")


def without(page, g):
    """Where there is no WebGL its colours are shown, and the way to a turntable."""
    page.go(f"http://127.0.0.1:{g.port}/")
    page.until(TILES)
    opened(page)
    check(page.until("document.querySelector('.world img')?.naturalWidth") == 128 and page.js("document.querySelector('.world img').src.startsWith('blob:')"),
          "without WebGL: its colours from above", str(page.js("document.querySelector('.world')?.innerHTML")))
    check("WebGL" in page.js("document.querySelector('.world [role=status]').textContent") and "127 × 127" in page.js("document.querySelector('.world img').alt"), "which is said, with what there is to see")
    accessible(page, "a landscape without WebGL")
    page.js("document.querySelector('.world button').click()")
    check(page.until(TILES + " === 2", 60) and page.js("document.querySelector('#grid .tile').item.file.mime") == "image/webp",
          "a turntable is a step away")
    page.js("document.querySelector('#grid .tile').click()")
    check(page.until("document.querySelector('#frame img')?.src.includes('/files/')") and page.js("document.getElementById('halt').textContent") == "Stop", "which turns, and can be stopped")
    page.press("Escape")


def main():
    if not any(map(shutil.which, BROWSERS)):
        print(f"skip landscapes on the page: none of {', '.join(BROWSERS)} is installed", flush=True)
        return
    parent = pathlib.Path(tempfile.mkdtemp(prefix="sumi-e2e-"))
    (parent / "packs").mkdir()
    world_tiny(parent / "packs" / "world-tiny")
    place = Place(parent=parent, packs=str(parent / "packs"), model_world="world-tiny").start()
    g = Gateway(place)
    page = Page(draws=True)
    try:
        comes(page, g)
        id = made(page, g)
        if page.js("Boolean(document.createElement('canvas').getContext('webgl2'))"):
            seen(page)
            hands(page)
            turning(page)
            russian(page)
            broken(page, g, id)
        else:
            print("skip landscapes that are drawn: this Chromium has no WebGL", flush=True)
        check(page.said == [], "the browser has nothing to complain of", str(page.said))
        page.close()
        page = Page()
        without(page, g)
        check(page.said == [], "without WebGL neither", str(page.said))
    finally:
        page.close()
        g.stop()
        place.stop()
        place.remove()
    finish()


main()
