// The region: what is painted, what can be undone, and how it looks. All in whole pixels of the region.

import { line } from "./trace.js";

export const UNSURE = 255;
const KEPT = 64 * 2 ** 20; // bytes of undo
const EASY = 4; // pixels of the window a pixel, from which a finger can aim
const NEAR = 12; // pixels of the surroundings that are always in sight

export class Region {
  constructor(canvas, question, picture) {
    const [height, width] = question.view, [top, left, h, w] = question.inside;
    Object.assign(this, { canvas, corner: [left, top], h, w, hidden: false, cursor: [w >> 1, h >> 1], preview: null, stale: true });
    this.label = new Uint8Array(h * w);
    this.colours = question.colours; // [red, green, blue] a class, and last of what nobody knows
    this.asked = null; // [h × w] 1 where a pixel is asked about; null: everywhere
    this.undone = [];
    this.done = [];
    this.picture = new OffscreenCanvas(width, height);
    const context = this.picture.getContext("2d", { willReadFrequently: true });
    context.drawImage(picture, 0, 0);
    const { data } = context.getImageData(left, top, w, h);
    this.grey = Uint8Array.from({ length: h * w }, (_, i) => (data[4 * i] + data[4 * i + 1] + data[4 * i + 2]) / 3);
    this.overlay = new OffscreenCanvas(w, h);
    this.fit();
  }

  // As large as fits, in whole device pixels a pixel; where that is too small to aim, less of the surroundings is shown.
  fit() {
    const frame = this.canvas.parentElement, ratio = window.devicePixelRatio || 1;
    const room = [frame.clientWidth, frame.clientHeight].map((side) => Math.max(side, 120) * ratio);
    const { width, height } = this.picture;
    const largest = (w, h) => Math.floor(Math.min(room[0] / w, room[1] / h));
    const aimed = Math.min(Math.ceil(EASY * ratio), largest(this.w + 2 * NEAR, this.h + 2 * NEAR));
    this.zoom = Math.max(1, largest(width, height), aimed);
    const sides = [[width, this.corner[0], this.w, room[0]], [height, this.corner[1], this.h, room[1]]];
    const shown = sides.map(([whole, start, length, side]) => {
      const seen = Math.min(whole, Math.max(length, Math.floor(side / this.zoom)));
      return [seen, Math.min(Math.max(0, start + ((length - seen) >> 1)), whole - seen)];
    });
    [[this.width, this.x], [this.height, this.y]] = shown;
    [this.left, this.top] = [this.corner[0] - this.x, this.corner[1] - this.y];
    this.canvas.width = this.width * this.zoom;
    this.canvas.height = this.height * this.zoom;
    this.canvas.style.width = `${this.canvas.width / ratio}px`;
    this.canvas.style.height = `${this.canvas.height / ratio}px`;
    this.draw();
  }

  // Pixel [x, y] of the region under a point of the window; perhaps outside.
  at(event) {
    const box = this.canvas.getBoundingClientRect();
    const x = Math.floor(((event.clientX - box.left) / box.width) * this.width) - this.left;
    const y = Math.floor(((event.clientY - box.top) / box.height) * this.height) - this.top;
    return [x, y];
  }

  inside([x, y]) { return x >= 0 && y >= 0 && x < this.w && y < this.h; }

  // Remembers what is there, before it changes.
  begin() {
    this.stale = true;
    this.done.push(this.label.slice());
    this.undone = [];
    while (this.done.length > 1 && this.done.length * this.label.length > KEPT) this.done.shift();
  }

  cancel() { if (this.done.length) { this.label = this.done.pop(); this.stale = true; this.draw(); } }

  undo(from = this.done, to = this.undone) {
    if (!from.length) return false;
    to.push(this.label);
    this.label = from.pop();
    this.stale = true;
    this.draw();
    return true;
  }

  redo() { return this.undo(this.undone, this.done); }

  put(index, value) { if (!this.asked || this.asked[index]) { this.label[index] = value; this.stale = true; } }

  // A stamp of so many pixels across around [x, y]: no half-transparent edges.
  stamp([x, y], size, value) {
    for (const [dx, dy] of disc(size)) if (this.inside([x + dx, y + dy])) this.put((y + dy) * this.w + x + dx, value);
  }

  stroke(from, to, size, value) { for (const point of line(...from, ...to)) this.stamp(point, size, value); }

  along(pixels, size, value) { for (const i of pixels) this.stamp([i % this.w, Math.floor(i / this.w)], size, value); }

  fill(value) { this.begin(); for (let i = 0; i < this.label.length; i++) this.put(i, value); this.draw(); }

  set(label) { this.begin(); this.label = label.slice(); this.draw(); }

  // Everything connected to [x, y] that is of its class.
  flood([x, y], value) {
    const start = y * this.w + x, old = this.label[start];
    if (old === value) return;
    this.begin();
    const open = [start], seen = new Uint8Array(this.label.length);
    seen[start] = 1;
    while (open.length) {
      const i = open.pop(), column = i % this.w;
      this.put(i, value);
      for (const n of [i - this.w, i + this.w, column ? i - 1 : -1, column < this.w - 1 ? i + 1 : -1]) {
        if (n >= 0 && n < this.label.length && !seen[n] && this.label[n] === old) { seen[n] = 1; open.push(n); }
      }
    }
    this.draw();
  }

  draw(size = this.size, value = this.value) {
    this.size = size; this.value = value;
    const context = this.canvas.getContext("2d"), z = this.zoom;
    context.imageSmoothingEnabled = false;
    context.drawImage(this.picture, this.x, this.y, this.width, this.height, 0, 0, this.canvas.width, this.canvas.height);
    context.fillStyle = "rgb(128 128 128 / 45%)";
    const [l, t, r, b] = [this.left * z, this.top * z, (this.left + this.w) * z, (this.top + this.h) * z];
    for (const part of [[0, 0, this.canvas.width, t], [0, b, this.canvas.width, this.canvas.height - b], [0, t, l, b - t], [r, t, this.canvas.width - r, b - t]]) context.fillRect(...part);
    if (this.stale) this.paint();
    context.drawImage(this.overlay, l, t, r - l, b - t);
    context.lineWidth = Math.max(1, Math.round(z / 4));
    context.strokeStyle = "#000";
    context.strokeRect(l - 1.5, t - 1.5, r - l + 3, b - t + 3);
    context.strokeStyle = "#fff";
    context.strokeRect(l - 0.5, t - 0.5, r - l + 1, b - t + 1);
    this.pointer(context, l, t, z);
  }

  // What is painted, over the picture; and, faint, what is not asked about.
  paint() {
    const context = this.overlay.getContext("2d"), image = context.createImageData(this.w, this.h);
    for (let i = 0; i < this.label.length; i++) {
      const c = this.label[i];
      const off = this.asked && !this.asked[i];
      if (!off && (this.hidden || c === 0)) continue;
      const [red, green, blue] = off ? [128, 128, 128] : this.rgb(c);
      const checked = c === UNSURE && ((i % this.w) + Math.floor(i / this.w)) % 2;
      image.data.set([red, green, blue, off ? 115 : checked ? 90 : 150], 4 * i);
    }
    for (const i of this.preview || []) image.data.set([...this.rgb(this.value || 1), 230], 4 * i);
    context.putImageData(image, 0, 0);
    this.stale = false;
  }

  rgb(c) {
    return c === UNSURE ? this.colours.at(-1) : this.colours[c];
  }

  // The outline of exactly those pixels that a stamp would paint.
  pointer(context, l, t, z) {
    const [x, y] = this.cursor, pixels = new Set(disc(this.size || 1).map(([dx, dy]) => `${x + dx},${y + dy}`));
    context.beginPath();
    for (const key of pixels) {
      const [px, py] = key.split(",").map(Number), X = l + px * z, Y = t + py * z;
      if (!pixels.has(`${px},${py - 1}`)) { context.moveTo(X, Y); context.lineTo(X + z, Y); }
      if (!pixels.has(`${px},${py + 1}`)) { context.moveTo(X, Y + z); context.lineTo(X + z, Y + z); }
      if (!pixels.has(`${px - 1},${py}`)) { context.moveTo(X, Y); context.lineTo(X, Y + z); }
      if (!pixels.has(`${px + 1},${py}`)) { context.moveTo(X + z, Y); context.lineTo(X + z, Y + z); }
    }
    for (const [style, width] of [["#fff", 3], ["#000", 1]]) {
      context.strokeStyle = style;
      context.lineWidth = width;
      context.stroke();
    }
  }
}

const discs = new Map();

// Offsets [dx, dy] of a disc so many pixels across.
function disc(size) {
  if (!discs.has(size)) {
    const found = [], centre = (size - 1) / 2, low = -Math.floor(centre);
    for (let dy = low; dy < low + size; dy++)
      for (let dx = low; dx < low + size; dx++)
        if (Math.hypot(dx - low - centre, dy - low - centre) <= size / 2) found.push([dx, dy]);
    discs.set(size, found);
  }
  return discs.get(size);
}
