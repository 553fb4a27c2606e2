const urlPattern = /^(https?:\/\/(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?)(?=[/?#]|$)/i;

/** Origin, raw path and raw query of a request's URL, without parsing it anew, which would change the path. */
export function webRequestTarget(url: string): {
  /** `null` when it is not plain. */
  readonly authority: string | null;
  readonly path: string;
  readonly query: string;
} {
  const authority = urlPattern.exec(url)?.[1] ?? null;
  const [target = ""] = url.replace(/^https?:\/\/[^/?#]*/i, "").split("#", 1);
  const end = target.indexOf("?");
  const path = end === -1 ? target : target.slice(0, end);
  return { authority, path: path === "" ? "/" : path, query: end === -1 ? "" : target.slice(end + 1) };
}
