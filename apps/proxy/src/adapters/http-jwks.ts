import { readStream } from "../lib/read-stream.ts";
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
    const bytes = await readStream(response.body, maxBytes);
    if (bytes === null) throw new Error(`the key set is larger than ${maxBytes} bytes`);
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  };
}
