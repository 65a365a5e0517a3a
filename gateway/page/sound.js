// A clip to look at: its waveform, drawn once, and where it is at.

/* Peaks of a clip; it never plays by itself. */
export async function drawWave(canvas, url) {
  try {
    const bytes = await (await fetch(url)).arrayBuffer()
    const sound = await new OfflineAudioContext(1, 1, 44100).decodeAudioData(bytes)
    const data = sound.getChannelData(0), paint = canvas.getContext("2d")
    const { width, height } = canvas, each = Math.max(1, Math.floor(data.length / width))
    paint.fillStyle = getComputedStyle(canvas).color
    for (let x = 0; x < width; x++) {
      let top = 0
      for (let i = x * each; i < (x + 1) * each && i < data.length; i++) top = Math.max(top, Math.abs(data[i]))
      paint.fillRect(x, (1 - top) * height / 2, 1, Math.max(1, top * height))
    }
    canvas.dataset.drawn = "true"
  } catch { /* a browser without this decoder plays it all the same, or says why not */ }
}

/* A line over waveform and spectrogram goes with the sound; a click there goes to that moment, as its own slider does
 * for keys. */
export function follow(box, line, audio) {
  const draw = () => { line.style.left = `${100 * (audio.currentTime / audio.duration || 0)}%` }
  for (const event of ["timeupdate", "seeked", "loadedmetadata"]) audio.addEventListener(event, draw)
  box.addEventListener("click", e => {
    const { left, width } = box.getBoundingClientRect()
    if (audio.duration) audio.currentTime = audio.duration * Math.max(0, Math.min(1, (e.clientX - left) / width))
  })
}
