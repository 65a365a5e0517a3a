#!/usr/bin/env python3
"""Blender's importer (bpy from PyPI, for Python 3.11): landscapes with water and without, larger ones and ones that go on
beside themselves open without a warning; the coarser meshes are not shown."""
from client import *

need("bpy==5.0.1")
import bpy, logging, warnings

from world_pack import SIDE, world_tiny


def opened(path):
    """What Blender's importer says about a file, and the meshes that are then to be seen: {name: (vertices, x, y, z)}."""
    heard = Heard()
    logging.getLogger().addHandler(heard)
    bpy.ops.wm.read_factory_settings(use_empty=True)
    said = bpy.ops.import_scene.gltf(filepath=str(path))
    seen = {o.name: (len(o.data.vertices), *o.dimensions) for o in bpy.data.objects if o.type == "MESH" and o.visible_get()}
    return said, heard.words, seen


warnings.simplefilter("error")
place = Place()
try:
    world_tiny(place.dir / "world-tiny")
    manifest = place.dir / "world-tiny" / "sumi.json"
    for name, options, wide, deep, sea in (("a.glb", [], SIDE, SIDE, 0.5), ("b.glb", ["--loop"], SIDE, SIDE, 0.5), ("c.glb", ["--size", "192x320"], 192, 320, 0.5),
                                           ("d.glb", [], SIDE, SIDE, -1)):
        manifest.write_text(json.dumps({"modality": "world", "world": {"relief": 0.25, "sea_level": sea}}))
        made = place.sumi("render", "озеро", "--pack", "world-tiny", "--steps", 2, "--seed", 5, *options, "-o", name)
        check(made.returncode == 0, f"a mesh: {name}", made.stderr)
        said, words, seen = opened(place.dir / name)
        check(said == {"FINISHED"} and not words, f"Blender opens {name} without a warning", f"{said} {words}")
        check(set(seen) == ({"ground", "water"} if sea > 0 else {"ground"}), f"{name}: the ground, and water where there is any", str(seen))
        count, x, y, z = seen.get("ground", (0, 0, 0, 0))
        check((count, x, y) == (wide * deep, wide - 1, deep - 1) and 0 < z <= 0.25 * SIDE, f"{name}: a vertex a cell, a metre a cell, z up", str(seen))
        mesh = bpy.data.objects["ground"].data
        check(not mesh.validate() and min(p.normal.z for p in mesh.polygons) > 0, f"{name}: nothing to mend, all of it seen from above")
        check([tuple(i.size) for i in bpy.data.images] == [(wide, deep)], f"{name}: its colours")
finally:
    place.remove()
finish()
