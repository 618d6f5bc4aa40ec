// Shortest paths along a curve: where the model sees the class, or, without a model, along dark ink.

const STEPS = [[0, 1, 1], [1, 0, 1], [0, -1, 1], [-1, 0, 1], [1, 1, Math.SQRT2], [1, -1, Math.SQRT2], [-1, 1, Math.SQRT2], [-1, -1, Math.SQRT2]];
const REACH = 256; // pixels around an anchor that a path may go through

// Cost of stepping on each pixel: −log p of the class, and a little for length.
export function costOfClass(probability, c, pixels) {
  const cost = new Float32Array(pixels);
  for (let i = 0; i < pixels; i++) cost[i] = 0.05 - Math.log(Math.max(probability[c * pixels + i], 1) / 255);
  return cost;
}

// Cost of stepping on each pixel: dark is cheap. `grey` is 0 … 255.
export function costOfInk(grey) {
  let low = 255, high = 0;
  for (const v of grey) { if (v < low) low = v; if (v > high) high = v; }
  return Float32Array.from(grey, (v) => 0.02 + ((v - low) / Math.max(high - low, 1)) ** 2);
}

// The tree of shortest paths from `start` (row × width + column): the pixel before each, −1 where none leads.
export function tree(cost, height, width, start) {
  const before = new Int32Array(cost.length).fill(-1);
  const distance = new Float64Array(cost.length).fill(Infinity); // as exact as what the heap holds
  const row = Math.floor(start / width), column = start % width;
  const heap = [[0, start]];
  distance[start] = 0;
  while (heap.length) {
    const [far, at] = pop(heap);
    if (far > distance[at]) continue;
    const y = Math.floor(at / width), x = at % width;
    for (const [dy, dx, length] of STEPS) {
      const v = y + dy, u = x + dx;
      if (v < 0 || u < 0 || v >= height || u >= width || Math.abs(v - row) > REACH || Math.abs(u - column) > REACH) continue;
      const there = v * width + u;
      const way = far + (length * (cost[at] + cost[there])) / 2;
      if (way < distance[there]) {
        distance[there] = way;
        before[there] = at;
        push(heap, [way, there]);
      }
    }
  }
  return before;
}

// Pixels from the root of a tree to `end`, both included; the straight line where no path leads.
export function path(before, width, start, end) {
  const found = [end];
  while (found[found.length - 1] !== start) {
    const previous = before[found[found.length - 1]];
    if (previous < 0) return line(start % width, Math.floor(start / width), end % width, Math.floor(end / width)).map(([x, y]) => y * width + x);
    found.push(previous);
  }
  return found.reverse();
}

// Every pixel [x, y] on the line between two (Bresenham 1965).
export function line(x, y, u, v) {
  const found = [], dx = Math.abs(u - x), dy = -Math.abs(v - y), sx = x < u ? 1 : -1, sy = y < v ? 1 : -1;
  for (let error = dx + dy; ;) {
    found.push([x, y]);
    if (x === u && y === v) return found;
    const twice = 2 * error;
    if (twice >= dy) { error += dy; x += sx; }
    if (twice <= dx) { error += dx; y += sy; }
  }
}

function push(heap, item) {
  heap.push(item);
  for (let i = heap.length - 1; i > 0;) {
    const up = (i - 1) >> 1;
    if (heap[up][0] <= heap[i][0]) return;
    [heap[up], heap[i]] = [heap[i], heap[up]];
    i = up;
  }
}

function pop(heap) {
  const first = heap[0], last = heap.pop();
  if (heap.length) {
    heap[0] = last;
    for (let i = 0; ;) {
      let least = i;
      for (const child of [2 * i + 1, 2 * i + 2]) if (child < heap.length && heap[child][0] < heap[least][0]) least = child;
      if (least === i) break;
      [heap[least], heap[i]] = [heap[i], heap[least]];
      i = least;
    }
  }
  return first;
}
