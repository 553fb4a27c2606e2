/** Reads the URL under which the proxy is reached: an http(s) origin with an optional path, kept without a trailing slash. */
export function parsePublicUrl(
  text: string,
): { readonly ok: true; readonly value: string } | { readonly ok: false; readonly rule: string } {
  if (!URL.canParse(text)) return { ok: false, rule: "must be an absolute URL" };
  const url = new URL(text);
  if (url.protocol !== "https:" && url.protocol !== "http:")
    return { ok: false, rule: "must be an http: or https: URL" };
  if (url.username !== "" || url.password !== "" || url.search !== "" || url.hash !== "") {
    return { ok: false, rule: "must have no user, no query and no fragment" };
  }
  return { ok: true, value: url.origin + url.pathname.replace(/\/+$/, "") };
}
