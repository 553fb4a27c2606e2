import type { JwksFetch } from "../ports.ts";

/** Largest key set that is read, in bytes, after decompression. */
const maxBytes = 262_144;

/** Reads a key set with the web's `fetch`, the same on every runtime. A redirect could lead anywhere, so none is followed. */
export function createHttpJwksFetch(fetch: typeof globalThis.fetch, userAgent: string): JwksFetch {
  return async (url, signal) => {
    const response = await fetch(url, {
      headers: { accept: "application/jwk-set+json, application/json", "user-agent": userAgent },
      redirect: "manual",
      signal,
    });
    if (response.type === "opaqueredirect" || response.status !== 200) {
      await response.body?.cancel();
      throw new Error(`the issuer answered the key set with status ${response.status}`);
    }
    return readText(response);
  };
}

/** Reads no further than the limit: a length that is announced can lie, and a compressed answer grows. */
async function readText(response: Response): Promise<string> {
  if (response.body === null) return "";
  const decoder = new TextDecoder("utf-8", { fatal: true });
  let text = "";
  let length = 0;
  for await (const chunk of response.body) {
    length += chunk.byteLength;
    if (length > maxBytes) throw new Error(`the key set is larger than ${maxBytes} bytes`);
    text += decoder.decode(chunk, { stream: true });
  }
  return text + decoder.decode();
}
