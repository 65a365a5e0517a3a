// Draws the parts of a landscape by WebGL 2: no light of its own but a little shade, as the hour is in the colours.

import { Damaged } from "./glb.js"

const SEE = `#version 300 es
in vec3 position, normal;
in vec2 place;
uniform mat4 camera;
out vec3 up;
out vec2 at;
void main() {
  up = normal;
  at = place;
  gl_Position = camera * vec4(position, 1.0);
}`
const PAINT = `#version 300 es
precision highp float;
in vec3 up;
in vec2 at;
uniform sampler2D colours;
uniform vec4 factor;
uniform bool textured;
out vec4 paint;
void main() {
  vec4 c = textured ? vec4(texture(colours, at).rgb, 1.0) : factor;
  float shade = 0.7 + 0.35 * max(0.0, dot(normalize(up), normalize(vec3(-0.5, 0.75, 0.4))));
  paint = vec4(min(c.rgb * shade, 1.0) * c.a, c.a);
}`
const EARTH = [0.066, 0.048, 0.037, 1], DEEP = 0.05 /* of its size: the cut through the earth */
const NEAR = 0.01, FAR = 8 /* of the landscape's size */, WIDE = 0.8 /* radians of the picture's height */

const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
const cross = (a, b) => [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
const unit = a => a.map(v => v / Math.hypot(...a))

/* From the eye to the picture, in columns. */
function cameraOf(eye, target, aspect, size) {
  const ahead = unit(target.map((v, i) => v - eye[i])), side = unit(cross(ahead, [0, 1, 0])), up = cross(side, ahead)
  const near = NEAR * size, far = FAR * size, y = 1 / Math.tan(WIDE / 2), x = y / aspect
  const a = (far + near) / (near - far), b = 2 * far * near / (near - far)
  const column = i => [x * side[i], y * up[i], -a * ahead[i], ahead[i]]
  return new Float32Array([...column(0), ...column(1), ...column(2), -x * dot(side, eye), -y * dot(up, eye), a * dot(ahead, eye) + b, -dot(ahead, eye)])
}

/* Walls from the border of a ground down into the earth: what stands below is not seen from the side. */
function walls(positions, { low, high, water = -Infinity }, size) {
  const floor = low[1] - DEEP * size, all = { positions: [], normals: [], corners: [] }
  for (const [axis, at, sign] of [[0, low[0], -1], [0, high[0], 1], [2, low[2], -1], [2, high[2], 1]]) {
    const border = []
    for (let i = 0; i < positions.length; i += 3) if (positions[i + axis] === at) border.push(positions.subarray(i, i + 3))
    border.sort((a, b) => a[2 - axis] - b[2 - axis])
    border.forEach(([x, y, z], k) => {
      const first = all.positions.length / 3
      all.positions.push(x, Math.max(y, water), z, x, floor, z)
      for (let twice = 0; twice < 2; twice++) all.normals.push(axis ? 0 : sign, 0, axis ? sign : 0)
      if (k) all.corners.push(first - 2, first - 1, first, first, first - 1, first + 1)
    })
  }
  return { name: "earth", positions: new Float32Array(all.positions), normals: new Float32Array(all.normals), corners: new Uint32Array(all.corners), factor: EARTH }
}

function compile(gl) {
  const program = gl.createProgram()
  for (const [kind, text] of [[gl.VERTEX_SHADER, SEE], [gl.FRAGMENT_SHADER, PAINT]]) {
    const shader = gl.createShader(kind)
    gl.shaderSource(shader, text)
    gl.compileShader(shader)
    gl.attachShader(program, shader)
  }
  gl.linkProgram(program)
  return gl.getProgramParameter(program, gl.LINK_STATUS) ? program : undefined
}

/* A part's arrays on the device. glTF's factors are linear, the picture's values are not. */
function upload(gl, program, part) {
  const vertices = gl.createVertexArray()
  gl.bindVertexArray(vertices)
  for (const [name, values, width] of [["position", part.positions, 3], ["normal", part.normals, 3], ["place", part.places, 2]]) {
    const slot = gl.getAttribLocation(program, name)
    if (!values || slot < 0) continue
    gl.bindBuffer(gl.ARRAY_BUFFER, gl.createBuffer())
    gl.bufferData(gl.ARRAY_BUFFER, values, gl.STATIC_DRAW)
    gl.enableVertexAttribArray(slot)
    gl.vertexAttribPointer(slot, width, gl.FLOAT, false, 0, 0)
  }
  gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, gl.createBuffer())
  gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, part.corners, gl.STATIC_DRAW)
  gl.bindVertexArray(null)
  const factor = part.factor.map((v, i) => i < 3 ? Math.max(0, v) ** (1 / 2.2) : v)
  return { vertices, count: part.corners.length, type: part.corners instanceof Uint32Array ? gl.UNSIGNED_INT : gl.UNSIGNED_SHORT,
    blends: Boolean(part.blends), textured: Boolean(part.places) && part.texture !== undefined, factor }
}

async function texture(gl, blob) {
  const most = gl.getParameter(gl.MAX_TEXTURE_SIZE)
  let picture = await createImageBitmap(blob, { colorSpaceConversion: "none", premultiplyAlpha: "none" }).catch(() => { throw new Damaged("badPart", "images") })
  const scale = most / Math.max(picture.width, picture.height)
  if (scale < 1) picture = await createImageBitmap(picture, { resizeWidth: Math.floor(picture.width * scale), resizeHeight: Math.floor(picture.height * scale) })
  gl.bindTexture(gl.TEXTURE_2D, gl.createTexture())
  gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA8, gl.RGBA, gl.UNSIGNED_BYTE, picture)
  picture.close()
  gl.generateMipmap(gl.TEXTURE_2D)
  for (const [name, value] of [["MIN_FILTER", gl.LINEAR_MIPMAP_LINEAR], ["MAG_FILTER", gl.LINEAR], ["WRAP_S", gl.CLAMP_TO_EDGE], ["WRAP_T", gl.CLAMP_TO_EDGE]])
    gl.texParameteri(gl.TEXTURE_2D, gl[`TEXTURE_${name}`], value)
}

/* size: the longest side. {draw(eye, target), close()}; undefined where there is no WebGL. */
export async function openGround(canvas, land, size) {
  const gl = canvas.getContext("webgl2", { antialias: true, powerPreference: "low-power" }), program = gl && compile(gl)
  if (!program) return undefined
  const { parts, picture } = land, all = [walls(parts[0].positions, land, size), ...parts].map(p => upload(gl, program, p)), at = name => gl.getUniformLocation(program, name)
  const camera = at("camera"), factor = at("factor"), textured = at("textured")
  if (picture) await texture(gl, picture)
  gl.enable(gl.DEPTH_TEST)
  gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA)
  return {
    draw(eye, target) {
      gl.viewport(0, 0, canvas.width, canvas.height)
      gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT)
      gl.useProgram(program)
      gl.uniformMatrix4fv(camera, false, cameraOf(eye, target, canvas.width / canvas.height, size))
      for (const p of all) {
        gl[p.blends ? "enable" : "disable"](gl.BLEND)
        gl.depthMask(!p.blends)
        gl.uniform4fv(factor, p.factor)
        gl.uniform1i(textured, Number(p.textured))
        gl.bindVertexArray(p.vertices)
        gl.drawElements(gl.TRIANGLES, p.count, p.type, 0)
      }
      gl.depthMask(true)
    },
    close: () => gl.getExtension("WEBGL_lose_context")?.loseContext(),
  }
}
