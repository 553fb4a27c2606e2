/** Checks the built site: each link leads to a file of the site, each fragment to an id on that page, and nothing is loaded from elsewhere. */
import { posix } from "node:path";

/**
 * Returns a line for each problem.
 *
 * @param {ReadonlyMap<string, string>} files the text of each HTML page, by its path in the site
 * @param {ReadonlySet<string>} paths every file of the site
 * @param {string} base path of the site, with a slash at its end
 */
export function findSiteProblems(files, paths, base) {
  /** @type {string[]} */
  const problems = [];
  const ids = new Map([...files].map(([path, html]) => [path, new Set(matches(html, /\sid="([^"]*)"/g).map(decode))]));
  for (const [path, html] of files) {
    for (const target of matches(html, /<(?:script|img|source|iframe|video|audio)\b[^>]*?\ssrc="([^"]*)"/g)) {
      if (/^(?:[a-z]+:)?\/\//i.test(target)) problems.push(`${path}: loads ${target} from another host`);
    }
    for (const target of matches(html, /<link\b[^>]*?\shref="([^"]*)"/g)) {
      if (/^(?:[a-z]+:)?\/\//i.test(target)) problems.push(`${path}: loads ${target} from another host`);
    }
    for (const target of matches(html, /<a\b[^>]*?\shref="([^"]*)"/g).map(decode)) {
      if (/^[a-z]+:/i.test(target)) continue;
      const [before = "", fragment] = target.split("#");
      const file = before === "" ? path : fileOf(before, path, base);
      if (!paths.has(file)) problems.push(`${path}: links to ${target}, which is not part of the site`);
      else if (fragment !== undefined && fragment !== "" && ids.get(file)?.has(decodeURIComponent(fragment)) === false)
        problems.push(`${path}: links to ${target}, but that page has no such heading`);
    }
  }
  return problems;
}

/** @param {string} target @param {string} from @param {string} base */
function fileOf(target, from, base) {
  const path = target.startsWith("/") ? target.slice(base.length) : posix.join(posix.dirname(from), target);
  const normal = decodeURIComponent(posix.normalize(path));
  return normal === "" || normal === "." || normal.endsWith("/") ? posix.join(normal, "index.html") : normal;
}

/** @param {string} text @param {RegExp} pattern */
function matches(text, pattern) {
  return [...text.matchAll(pattern)].map(([, value = ""]) => value);
}

/** @param {string} text */
function decode(text) {
  return text.replaceAll("&quot;", '"').replaceAll("&#39;", "'").replaceAll("&lt;", "<").replaceAll("&amp;", "&");
}
