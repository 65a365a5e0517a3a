// Landscapes as glTF 2.0 binaries: what of a file the view draws, checked before it is used.

const MAGIC = 0x46546c67, JSON_CHUNK = 0x4e4f534a, BIN_CHUNK = 0x004e4942, HEADER = 12, CHUNK = 8, TRIANGLES = 4
const arrays = { 5123: Uint16Array, 5125: Uint32Array, 5126: Float32Array }, shapes = { SCALAR: 1, VEC2: 2, VEC3: 3 }

/* What is wrong with a file, as a word of words.js and what stands in it. */
export class Damaged extends Error {
  constructor(word, ...values) {
    super(`${word} ${values.join(" ")}`)
    Object.assign(this, { word, values })
  }
}

/* The JSON and the bytes behind it. */
function chunks(data) {
  const view = new DataView(data), u32 = at => view.getUint32(at, true)
  if (data.byteLength < HEADER + CHUNK || u32(0) !== MAGIC || u32(4) !== 2 || u32(HEADER + 4) !== JSON_CHUNK) throw new Damaged("noLandscape")
  const whole = u32(8), text = u32(HEADER), bin = HEADER + 2 * CHUNK + text
  if (whole > data.byteLength || bin > whole) throw new Damaged("cutOff", data.byteLength, Math.max(whole, bin))
  if (u32(bin - 4) !== BIN_CHUNK || u32(bin - CHUNK) > whole - bin) throw new Damaged("badPart", "BIN")
  const json = new TextDecoder("utf-8", { fatal: true }).decode(new Uint8Array(data, HEADER + CHUNK, text))
  return { root: JSON.parse(json), data, bin, size: u32(bin - CHUNK) }
}

/* The bytes of a view, as [begin, end] in the file. */
function bytesOf({ root, bin, size }, number) {
  const { byteOffset = 0, byteLength } = root.bufferViews[number]
  if (!(Number.isInteger(byteOffset) && Number.isInteger(byteLength) && byteOffset >= 0 && byteLength >= 0 && byteOffset + byteLength <= size))
    throw new Damaged("badPart", `bufferViews[${number}]`)
  return [bin + byteOffset, bin + byteOffset + byteLength]
}

/* Values that lie close together, as an array of their own. */
function values(glb, number, shape, ...kinds) {
  const { bufferView, byteOffset = 0, componentType, count, type } = glb.root.accessors[number], kind = arrays[componentType]
  const [begin, end] = bytesOf(glb, bufferView), from = begin + byteOffset, length = count * shapes[shape] * (kind?.BYTES_PER_ELEMENT ?? NaN)
  if (type !== shape || !kinds.includes(kind) || !(count > 0) || !(byteOffset >= 0) || !(from + length <= end))
    throw new Damaged("badPart", `accessors[${number}]`)
  return new kind(glb.data.slice(from, from + length))
}

function part(glb, { attributes, indices, material, mode = TRIANGLES }, name) {
  const { pbrMetallicRoughness: look = {}, alphaMode } = glb.root.materials?.[material] ?? {}
  const positions = values(glb, attributes.POSITION, "VEC3", Float32Array), count = positions.length / 3
  const normals = values(glb, attributes.NORMAL, "VEC3", Float32Array)
  const places = attributes.TEXCOORD_0 === undefined ? undefined : values(glb, attributes.TEXCOORD_0, "VEC2", Float32Array)
  const corners = values(glb, indices, "SCALAR", Uint16Array, Uint32Array), factor = look.baseColorFactor ?? [1, 1, 1, 1]
  const fits = normals.length === positions.length && (!places || places.length === 2 * count) && corners.every(i => i < count)
  if (!fits || mode !== TRIANGLES || !positions.every(Number.isFinite) || factor.length !== 4 || !factor.every(Number.isFinite))
    throw new Damaged("badPart", name)
  return { name, positions, normals, places, corners, factor, blends: alphaMode === "BLEND", texture: look.baseColorTexture?.index }
}

/* The picture that lies over the ground. */
function pictureOf(glb, number) {
  const { bufferView, mimeType } = glb.root.images[glb.root.textures[number].source]
  return new Blob([glb.data.slice(...bytesOf(glb, bufferView))], { type: mimeType })
}

function bounds(parts) {
  const low = [Infinity, Infinity, Infinity], high = [-Infinity, -Infinity, -Infinity]
  for (const { positions } of parts)
    for (let i = 0; i < positions.length; i++) {
      low[i % 3] = Math.min(low[i % 3], positions[i])
      high[i % 3] = Math.max(high[i % 3], positions[i])
    }
  return { low, high }
}

/* {parts in the order in which they are drawn, picture, low, high: of the solid parts, water: its height or undefined} */
export function readGlb(data) {
  try {
    const glb = chunks(data), { nodes, meshes, scenes, scene = 0 } = glb.root
    const parts = scenes[scene].nodes.map(n => meshes[nodes[n].mesh]).flatMap(m => m.primitives.map(p => part(glb, p, String(m.name ?? "meshes"))))
    parts.sort((a, b) => a.blends - b.blends)
    const solid = parts.filter(p => !p.blends), textured = solid.find(p => p.texture !== undefined), water = parts.find(p => p.blends)
    if (!solid.length) throw new Damaged("badPart", "meshes")
    return { parts, picture: textured && pictureOf(glb, textured.texture), ...bounds(solid), water: water?.positions[1] }
  } catch (e) {
    throw e instanceof Damaged ? e : new Damaged("badPart", "JSON")
  }
}
