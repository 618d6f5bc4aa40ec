// One question after the other: keys, buttons, pointers, the clock, and what is handed in.

import * as api from "./api.js";
import { Region, UNSURE } from "./canvas.js";
import { listen } from "./inputs.js";
import { costOfClass, costOfInk, path, tree } from "./trace.js";

const IDLE = 20; // seconds without a sign of life after which the clock stands still
const by = (id) => document.getElementById(id);
const canvas = by("canvas");
const now = { question: null, region: null, drawn: null, value: 1, size: 3, tool: "brush", root: null, busy: false };
const clock = { seconds: 0, active: performance.now(), before: performance.now() };
const behind = []; // ids that were answered here, the newest last

// The clock

setInterval(() => {
  const time = performance.now(), awake = !document.hidden && time - clock.active < IDLE * 1000;
  if (awake && now.question && !now.busy) clock.seconds += (time - clock.before) / 1000;
  clock.before = time;
}, 200);
for (const sign of ["pointermove", "pointerdown", "keydown", "wheel"]) addEventListener(sign, () => (clock.active = performance.now()), { passive: true });

// Questions

async function show({ question, progress }) {
  told(progress);
  by("work").hidden = !question;
  by("end").hidden = !!question;
  now.question = now.root = null; // no key may reach a region that is not there yet
  if (!question) return ended(progress);
  const pixels = question.inside[2] * question.inside[3];
  const [picture, drawn] = await Promise.all([api.view(question.id), question.prefill ? api.prefill(question.id, pixels) : null]);
  const draft = JSON.parse(sessionStorage.getItem(`bal:${question.id}`) || "null"), answer = question.answer;
  const region = new Region(canvas, question, picture), kept = draft?.mask ?? answer?.mask;
  region.asked = question.asked && api.unpack(question.asked);
  region.label = (kept ? api.unpack(kept) : drawn ? drawn.label : new Uint8Array(pixels)).slice();
  if (region.asked) region.label.forEach((_, i) => { if (!region.asked[i]) region.label[i] = 0; });
  region.stale = true;
  Object.assign(now, { question, region, drawn });
  clock.seconds = draft?.seconds ?? answer?.seconds ?? 0;
  by("where").textContent = `${question.image}, ${question.place.join(", ")}`;
  by("prediction").disabled = !drawn;
  classes(question.classes, region);
  choose(Math.min(now.value === UNSURE ? 1 : now.value, question.classes.length - 1));
  say(answer?.status === "skipped" ? "Skipped before; hand in to answer it after all." : answer ? "Answered before; hand in again to change it." : now.drawn ? "Correct what the model has drawn." : standing());
  canvas.focus({ preventScroll: true });
  by("where").dataset.id = question.id;
}

async function next() {
  try {
    await show(await api.next());
    trouble(null);
  } catch (error) {
    trouble(error.message);
    setTimeout(() => { if (!now.question) next(); }, 5000);
  }
}

async function hand(status) {
  if (!now.question || now.busy) return;
  now.busy = true;
  const { id } = now.question, mask = status === "labelled" ? api.pack(masked()) : null;
  const seconds = Math.round(clock.seconds * 10) / 10;
  try {
    const kept = await api.answer(id, { status, seconds, mask }, trouble);
    sessionStorage.removeItem(`bal:${id}`);
    if (behind[behind.length - 1] !== id) behind.push(id);
    why(kept.question, kept.outcome);
    trouble(null);
    now.busy = false;
    await next();
  } catch (error) {
    trouble(error.message);
  }
  now.busy = false;
}

function masked() {
  const { label, asked } = now.region;
  return asked ? label.map((c, i) => (asked[i] ? c : UNSURE)) : label;
}

async function back() {
  const id = behind.pop();
  if (!id || now.busy) return say("There is nothing to go back to.");
  try {
    await show(await api.question(id));
  } catch (error) {
    trouble(error.message);
  }
}

function ended(progress) {
  const held = progress.open > 0;
  by("end-title").textContent = held ? "Others have the rest" : progress.asked ? "All answered" : "Nothing is asked now";
  by("end-text").textContent = held
    ? `${progress.open} questions are open, and somebody is looking at each. This page goes on by itself when one comes back.`
    : "Thank you. Whoever runs the experiment goes on with the command below; new questions appear here by themselves.";
  by("end-command").textContent = progress.resume;
  by("end-command").hidden = held;
  by("end-back").hidden = !behind.length;
  setTimeout(() => { if (!now.question && !by("end").hidden) next(); }, 5000);
}

function told(progress) {
  const done = progress.asked - progress.open;
  by("run").textContent = `${progress.run} · ${progress.by}`;
  by("count").textContent = progress.asked ? `${done} of ${progress.asked}` : "";
  by("progress").setAttribute("aria-valuemax", progress.asked);
  by("progress").setAttribute("aria-valuenow", done);
  by("progress").firstElementChild.style.width = `${progress.asked ? (100 * done) / progress.asked : 0}%`;
  document.title = progress.asked ? `${done} of ${progress.asked} · bal desk` : "bal desk";
}

// Why a region was asked: only known once it has been answered.
function why(question, outcome) {
  const told = question.why, reasons = { audit: "drawn at random, for the audit", random: "drawn at random", start: "of the start set, drawn before any model" };
  let text = `The last one was ${reasons[told?.policy] || "asked for its score"}`;
  if (told && told.score !== null && told.policy !== "audit") {
    const most = Object.entries(told.for).sort((a, b) => b[1] - a[1])[0];
    text += ` (${told.score.toPrecision(3)}${most ? `, ${Math.round(100 * most[1])} % of it for ${most[0]}` : ""})`;
  }
  by("why").textContent = `${text}.${outcome === "late" ? " It came late: the round has closed, and it counts if the region is asked again." : ""}`;
}

// What is drawn, for those who do not see it.
function standing() {
  const pixels = now.region.label.reduce((sum, c) => sum + (c > 0), 0);
  return pixels ? `${pixels} of ${now.region.label.length} pixels are drawn.` : "Nothing is drawn yet.";
}

const say = (text) => (by("said").textContent = text);

function trouble(text) {
  by("trouble").hidden = !text;
  by("trouble").textContent = text || "";
}

// Tools

function classes(names, region) {
  const box = by("classes");
  box.replaceChildren(box.firstElementChild);
  for (const [c, name] of [...names.entries(), [UNSURE, "unsure"]]) {
    const button = document.createElement("button"), swatch = document.createElement("i"), text = document.createElement("span");
    button.type = "button";
    button.dataset.value = c;
    swatch.style.background = `rgb(${region.rgb(c)})`;
    text.textContent = name;
    button.append(swatch, text);
    if (c < 10 || c === UNSURE) {
      const key = document.createElement("kbd");
      key.textContent = c === UNSURE ? "U" : c;
      button.append(key);
    }
    button.addEventListener("click", () => { choose(c); canvas.focus({ preventScroll: true }); });
    box.append(button);
  }
}

function choose(value) {
  now.value = value;
  now.root = null;
  for (const button of by("classes").querySelectorAll("button")) button.setAttribute("aria-pressed", Number(button.dataset.value) === value);
  redraw();
}

function tool(name) {
  now.tool = name;
  now.root = null;
  for (const id of ["brush", "trace"]) by(id).setAttribute("aria-pressed", id === name);
  say(name === "trace" ? "Click along the curve; Esc ends it." : "");
  redraw();
}

function resize(size) {
  now.size = Math.min(40, Math.max(1, size));
  by("size").value = now.size;
  by("width").textContent = now.size;
  redraw();
}

function redraw() {
  const region = now.region;
  if (!region) return;
  const before = region.preview;
  region.preview = now.root && region.inside(region.cursor) ? path(now.root.before, region.w, now.root.at, index(region.cursor)) : null;
  if (before || region.preview) region.stale = true;
  region.draw(now.size, now.value);
  by("undo").disabled = !region.done.length;
  by("redo").disabled = !region.undone.length;
}

const index = ([x, y]) => y * now.region.w + x;

function changed() {
  redraw();
  if (!now.root) say(standing());
  const draft = { mask: api.pack(now.region.label), seconds: clock.seconds };
  try { sessionStorage.setItem(`bal:${now.question.id}`, JSON.stringify(draft)); } catch { /* a full store loses no answer */ }
}

// An anchor of the trace tool: the path from the one before is painted as wide as the brush.
function anchor(point) {
  const region = now.region, at = index(point);
  if (now.root) {
    region.begin();
    region.along(path(now.root.before, region.w, now.root.at, at), now.size, now.value);
  }
  const c = now.value, seen = now.drawn && c > 0 && c !== UNSURE;
  const cost = seen ? costOfClass(now.drawn.probability, c, region.h * region.w) : costOfInk(region.grey);
  now.root = { at, before: tree(cost, region.h, region.w, at) };
  changed();
}

const actions = {
  undo: () => { now.root = null; if (now.region.undo()) changed(); },
  redo: () => { if (now.region.redo()) changed(); },
  prediction: () => { if (now.drawn) { now.region.set(now.drawn.label); changed(); } },
  empty: () => { now.region.fill(0); changed(); },
  fill: () => { now.region.fill(now.value); changed(); },
  hide: () => { now.region.hidden = !now.region.hidden; now.region.stale = true; by("hide").setAttribute("aria-pressed", now.region.hidden); redraw(); },
  brush: () => tool("brush"),
  trace: () => tool("trace"),
  skip: () => hand("skipped"),
  next: () => hand("labelled"),
  back,
};
for (const [id, act] of Object.entries(actions)) by(id).addEventListener("click", () => { if (now.question || id === "back") act(); if (now.question) canvas.focus({ preventScroll: true }); });
by("end-back").addEventListener("click", back);
by("size").addEventListener("input", () => resize(Number(by("size").value)));
by("help-open").addEventListener("click", () => by("help").showModal());

listen(canvas, by("help"), now, { actions, anchor, changed, choose, redraw, resize });
addEventListener("resize", () => now.region && now.question && now.region.fit());
next();
