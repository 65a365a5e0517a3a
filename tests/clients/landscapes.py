#!/usr/bin/env python3
"""trimesh and pygltflib: a landscape's mesh opens without a warning and holds what docs/worlds.md says."""
from client import *

need("trimesh==5.2.0", "pygltflib==1.16.5", "jsonschema==4.26.0", "numpy", "pillow", "scipy")
import logging, warnings

import numpy, pygltflib, trimesh
from trimesh.exchange.gltf import validate

from world_pack import SIDE, world_tiny


heard = Heard()
logging.getLogger().addHandler(heard)
logging.getLogger("trimesh").addHandler(heard)
warnings.simplefilter("error")
place = Place()
try:
    world_tiny(place.dir / "world-tiny")
    made = place.sumi("render", "озеро", "--pack", "world-tiny", "--steps", 2, "--seed", 5, "-o", "a.glb")
    check(made.returncode == 0, "a mesh", made.stderr)
    data = (place.dir / "a.glb").read_bytes()
    validate(json.loads(data[20:20 + int.from_bytes(data[12:16], "little")]))
    check(True, "as Khronos' JSON schema has it")
    scene = trimesh.load_scene(place.dir / "a.glb")
    ground, water = scene.geometry["ground"], scene.geometry.get("water")
    check(len(scene.graph.nodes_geometry) == 2 and water is not None, "trimesh: ground and water", str(scene.graph.nodes_geometry))
    check(ground.vertices.shape == (SIDE * SIDE, 3) and ground.faces.shape == (2 * (SIDE - 1) ** 2, 3), "trimesh: a vertex a cell", f"{ground.vertices.shape} {ground.faces.shape}")
    flat = numpy.ptp(ground.vertices[:, [0, 2]], axis=0)
    check((flat == SIDE - 1).all() and (ground.face_normals[:, 1] > 0).all(), "trimesh: as wide as it says, all of it seen from above", str(flat))
    check(ground.visual.material.baseColorTexture.size == (SIDE, SIDE) and water.visual.material.alphaMode == "BLEND", "trimesh: colours, and water of its own")
    apart = numpy.einsum("ij,ij->i", ground.vertex_normals, trimesh.Trimesh(ground.vertices, ground.faces, process=False).vertex_normals)
    check(apart.mean() > 0.9, "trimesh: normals are about those of the triangles", str(apart.mean()))
    file = pygltflib.GLTF2().load(str(place.dir / "a.glb"))
    said = json.loads(file.asset.extras["sumi"])
    check(file.asset.version == "2.0" and said["prompt"] == "озеро" and file.extensionsUsed == ["MSFT_lod"], "pygltflib: how it was made", str(said))
    check(all(file.meshes[i].primitives[0].attributes.POSITION == 0 for i in range(3)) and len(file.nodes[0].extensions["MSFT_lod"]["ids"]) == 2, "pygltflib: levels of detail")
    check(sum(v.byteLength for v in file.bufferViews) <= file.buffers[0].byteLength == len(file.binary_blob()), "pygltflib: all bytes are there")
    check(not heard.words, "without a warning", str(heard.words))
finally:
    place.remove()
finish()
