/** Where an upstream is: an origin and the path in front of `/v1`. */
export interface UpstreamBaseUrl {
  readonly origin: string;
  /** Empty, or a path that starts with `/` and does not end with one. */
  readonly basePath: string;
}

const loopbackHost = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])$/;

/**
 * Reads the URL of an upstream, or says which rule it breaks. A credential goes there on every request, so it must not cross
 * a network in clear: `http:` is for loopback, unless `allowInsecure`.
 */
export function parseUpstreamBaseUrl(
  text: string,
  allowInsecure: boolean,
): { readonly ok: true; readonly value: UpstreamBaseUrl } | { readonly ok: false; readonly rule: string } {
  if (!URL.canParse(text)) return { ok: false, rule: "must be an absolute URL" };
  const url = new URL(text);
  if (url.protocol !== "https:" && url.protocol !== "http:") return { ok: false, rule: "must be an https: URL" };
  if (url.username !== "" || url.password !== "") return { ok: false, rule: "must not carry a user or a password" };
  if (url.search !== "" || url.hash !== "") return { ok: false, rule: "must have no query and no fragment" };
  if (url.protocol === "http:" && !loopbackHost.test(url.hostname) && !allowInsecure) {
    return { ok: false, rule: "must be https: (http: is for loopback, or with upstream.allowInsecure)" };
  }
  return { ok: true, value: { origin: url.origin, basePath: url.pathname.replace(/\/+$/, "") } };
}

/**
 * The URL of a path at the upstream, asserted to be that very path.
 *
 * @throws RangeError when a URL parser would read another path than was asked for.
 */
export function upstreamUrl(base: UpstreamBaseUrl, path: string, query: string): string {
  const pathname = base.basePath + path;
  const url = new URL(base.origin + pathname);
  if (url.origin !== base.origin || url.pathname !== pathname || url.search !== "" || url.hash !== "") {
    throw new RangeError("the path would be read as another path");
  }
  return query === "" ? url.href : `${url.href}?${query}`;
}
