// What the page asks the server; the token goes in a header, never in an address that is sent.

const token = location.hash.slice(1);

async function ask(path, options = {}) {
  const headers = { "X-Desk-Token": token, ...options.headers };
  const response = await fetch(path, { ...options, headers, cache: "no-store" });
  if (response.ok) return response;
  const told = await response.json().catch(() => ({}));
  throw Object.assign(new Error(told.error || `the desk says ${response.status}`), { status: response.status });
}

export const next = async () => (await ask("/api/next")).json();
export const question = async (id) => (await ask(`/api/question/${encodeURIComponent(id)}`)).json();
export const view = async (id) => createImageBitmap(await (await ask(`/api/view/${encodeURIComponent(id)}`)).blob());

// { label: [P], probability: [C × P] }, a byte each.
export async function prefill(id, pixels) {
  const bytes = new Uint8Array(await (await ask(`/api/prefill/${encodeURIComponent(id)}`)).arrayBuffer());
  return { label: bytes.slice(0, pixels), probability: bytes.slice(pixels) };
}

// Tries again until the server has kept it; a refusal that will not go away is thrown.
export async function answer(id, body, waiting) {
  for (;;) {
    try {
      const headers = { "Content-Type": "application/json" };
      const path = `/api/answer/${encodeURIComponent(id)}`;
      return await (await ask(path, { method: "PUT", headers, body: JSON.stringify(body) })).json();
    } catch (error) {
      if (error.status && ![408, 503, 507].includes(error.status)) throw error;
      waiting(error.status ? `${error.message}; trying again` : "The desk does not answer. Your drawing is kept; trying again.");
      await new Promise((done) => setTimeout(done, 1500));
    }
  }
}

export function pack(bytes) {
  let text = "";
  for (let i = 0; i < bytes.length; i += 8192) text += String.fromCharCode(...bytes.subarray(i, i + 8192));
  return btoa(text);
}

export function unpack(text) {
  return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
}
