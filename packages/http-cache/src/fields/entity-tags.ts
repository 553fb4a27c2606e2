/** Whether a validator may be compared strongly: it is an entity tag and not a weak one (RFC 9110, 8.8.1). */
export function isStrongTag(tag: string): boolean {
  return tag.startsWith('"');
}

/** Weak comparison: equal once a `W/` is taken away (RFC 9110, 8.8.3.2). */
export function tagsMatchWeakly(left: string, right: string): boolean {
  return opaqueTag(left) === opaqueTag(right);
}

const listedTag = /[\t ]*((?:W\/)?"[^"]*"|[^\t ,"]+)[\t ]*(?:,|$)/gy;

/**
 * Whether `If-None-Match` lists a tag, by weak comparison, or is `*`. Tags hold commas and no escapes, so they are no ordinary list. A
 * tag that was sent without quotes matches nothing but itself.
 */
export function listsTag(ifNoneMatch: string, tag: string | undefined): boolean {
  if (ifNoneMatch.trim() === "*") return true;
  if (tag === undefined) return false;
  if (ifNoneMatch === tag) return true;
  for (const match of ifNoneMatch.matchAll(listedTag)) {
    if (tagsMatchWeakly(match[1] ?? "", tag)) return true;
  }
  return false;
}

function opaqueTag(tag: string): string {
  return tag.startsWith("W/") ? tag.slice(2) : tag;
}
