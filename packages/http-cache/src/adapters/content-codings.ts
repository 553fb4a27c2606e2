/**
 * Determines whether `fetch` has decoded a body. `fetch` leaves `Content-Encoding` in the fields, and a `Response` does not show whether its body was
 * decoded, so the result depends on the runtime.
 */

/** The codings that some runtime decodes. */
const decodableCodings: ReadonlySet<string> = new Set(["br", "deflate", "gzip", "x-gzip", "zstd"]);

/** The codings of a body with these fields; none if one of them is a coding that no runtime decodes. */
function decodableCodingsOf(headers: Headers): readonly string[] {
  const names = headers.get("content-encoding")?.toLowerCase().split(",") ?? [];
  const codings = names.map((name) => name.trim());
  return codings.every((coding) => decodableCodings.has(coding)) ? codings : [];
}

/** True if the `fetch` of some runtime decodes a body with these fields. */
export function isDecodable(headers: Headers): boolean {
  return decodableCodingsOf(headers).length > 0;
}

/** True if the `fetch` of this runtime decodes a body with these fields. */
export function isDecoded(headers: Headers): boolean {
  const codings = decodableCodingsOf(headers);
  const [coding] = codings;
  if (coding === undefined) return false;
  const { process } = globalThis as { readonly process?: { readonly versions: Readonly<Record<string, string>> } };
  const { bun, undici } = process?.versions ?? {};
  // Only Node.js has it, and decodes lists too. In Workers it is empty.
  if (undici !== undefined && undici !== "") return !codings.includes("zstd") || decodesZstd(undici);
  return codings.length === 1 && (bun !== undefined || coding === "gzip" || coding === "br");
}

/** Undici does since 7.11, which is in Node.js 24.4. */
function decodesZstd(undici: string): boolean {
  const [major = 0, minor = 0] = undici.split(".").map(Number);
  return major > 7 || (major === 7 && minor >= 11);
}
