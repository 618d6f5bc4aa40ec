// Hands on the region: pointers, of which one paints and two never do, and keys for everything.

import { UNSURE } from "./canvas.js";

const KEYS = { b: "brush", t: "trace", z: "undo", y: "redo", r: "prediction", e: "empty", f: "fill", h: "hide", s: "skip", Enter: "next", Backspace: "back" };
const MOVES = { ArrowUp: [0, -1], ArrowDown: [0, 1], ArrowLeft: [-1, 0], ArrowRight: [1, 0] };

// `now` is what is on the desk; the rest is what hands can do to it.
export function listen(canvas, help, now, { actions, anchor, changed, choose, redraw, resize }) {
  const pointers = new Map();
  let last = null;

  canvas.addEventListener("pointerdown", (event) => {
    if (!now.question || now.busy) return;
    pointers.set(event.pointerId, event);
    if (pointers.size > 1) { if (last) now.region.cancel(); last = null; return; }
    const point = now.region.at(event), value = event.button === 2 ? 0 : now.value;
    if (event.button === 1 || !near(point)) return;
    event.preventDefault();
    canvas.focus({ preventScroll: true });
    now.region.cursor = point;
    if (event.shiftKey && now.region.inside(point)) { now.region.flood(point, value); return changed(); }
    if (now.tool === "trace" && event.button === 0) return now.region.inside(point) && anchor(point);
    canvas.setPointerCapture(event.pointerId);
    now.region.begin();
    now.region.stamp(point, now.size, value);
    last = { point, value };
    redraw();
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!now.question) return;
    const moves = event.getCoalescedEvents?.() ?? [];
    for (const move of moves.length ? moves : [event]) {
      const point = now.region.at(move);
      if (last && pointers.size === 1) { now.region.stroke(last.point, point, now.size, last.value); last.point = point; }
      now.region.cursor = point;
    }
    requestAnimationFrame(redraw);
  });
  for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, (event) => {
    pointers.delete(event.pointerId);
    if (last) { last = null; changed(); }
  });
  canvas.addEventListener("contextmenu", (event) => event.preventDefault());
  const near = ([x, y]) => x > -now.size && y > -now.size && x < now.region.w + now.size && y < now.region.h + now.size;

  let painting = false; // whether space is held

  addEventListener("keydown", (event) => {
    if (help.open || event.altKey || event.isComposing) return;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key, command = event.ctrlKey || event.metaKey;
    if (key === "?") { help.showModal(); return event.preventDefault(); }
    if (!now.question) { if (key === "Backspace") actions.back(); return; }
    if (now.busy || (command && key !== "z" && key !== "y")) return;
    const pressed = event.target instanceof HTMLButtonElement || event.target instanceof HTMLInputElement;
    if (pressed && (key === "Enter" || key === " " || (key in MOVES && event.target.type === "range"))) return;
    const name = command && event.shiftKey && key === "z" ? "redo" : KEYS[key];
    if (name) { if (!event.repeat || name === "undo" || name === "redo") actions[name](); }
    else if (/^[0-9]$/.test(key)) { if (Number(key) < now.question.classes.length) choose(Number(key)); }
    else if (key === "u") choose(UNSURE);
    else if (key === "[") resize(now.size - 1);
    else if (key === "]") resize(now.size + 1);
    else if (key === "Escape") { now.root = null; redraw(); }
    else if (key in MOVES) move(MOVES[key], event.shiftKey ? 8 : 1, painting);
    else if (key === " ") { if (!event.repeat) press(); }
    else return;
    event.preventDefault();
  });
  addEventListener("keyup", (event) => { if (event.key === " " && painting) { painting = false; changed(); } });

  function press() {
    if (now.tool === "trace") return anchor(now.region.cursor);
    painting = true;
    now.region.begin();
    now.region.stamp(now.region.cursor, now.size, now.value);
    redraw();
  }

  function move([dx, dy], far, paint) {
    const region = now.region, [x, y] = region.cursor;
    const to = [Math.min(region.w - 1, Math.max(0, x + dx * far)), Math.min(region.h - 1, Math.max(0, y + dy * far))];
    if (paint) region.stroke([x, y], to, now.size, now.value);
    region.cursor = to;
    redraw();
  }
}
