/** The settings that the peers share: their one key, a limit that is checked and never reached, and the credential for the origin. */
import process from "node:process";

/** The address of the origin: the first word of the command line. */
export const origin = process.argv[2] ?? "";
export const key = "bench";
export const upstreamAuthorization = "Bearer upstream";
export const windowMs = 60_000;
export const neverMet = 1_000_000_000;
/** The keys by the header field that presents them. */
export const principals = new Map([[`Bearer ${key}`, "bench-key"]]);
/** How many responses the caches hold. */
export const cacheEntries = 10_000;

/** Fetches what the cache lacks. */
export async function fetchOrigin(path) {
  const response = await fetch(`${origin}${path}`, { headers: { authorization: upstreamAuthorization } });
  const body = Buffer.from(await response.arrayBuffer());
  return { contentType: response.headers.get("content-type"), body };
}

/** Reports to the benchmark where the gateway with a cache listens, and where the one without. */
export function announce(cached, passThrough) {
  process.stdout.write(`listening ${cached} ${passThrough}\n`);
}
