/**
 * The pages of the site: which Markdown file of the repository becomes which page, and how its links are rewritten. A link to a file that
 * is not a page (a source file) leads to the repository if its address is known; otherwise only its text stays, because the site must not
 * invent an address.
 */
import { posix } from "node:path";

/** Files outside `docs/` that are pages. @type {Readonly<Record<string, string>>} */
const otherPages = {
  "README.md": "overview.md",
  "AGENTS.md": "agents.md",
  "CONTRIBUTING.md": "contributing.md",
  "SECURITY.md": "security-policy.md",
  "apps/proxy/README.md": "packages/proxy.md",
  "bench/README.md": "measurements.md",
  "docs/problems/README.md": "problems/index.md",
  "examples/README.md": "examples.md",
};

/** The page of a Markdown file, by their paths in the site and in the repository; `null` if it is none. @param {string} source */
export function pageOf(source) {
  const other = otherPages[source];
  if (other !== undefined) return other;
  if (source === "docs/README.md") return "index.md";
  if (/^docs\/.*\.md$/.test(source)) return source.slice("docs/".length);
  const [, name] = /^packages\/([^/]+)\/README\.md$/.exec(source) ?? [];
  if (name !== undefined) return `packages/${name}.md`;
  const [, skill] = /^skills\/([^/]+)\/SKILL\.md$/.exec(source) ?? [];
  return skill === undefined ? null : `skills/${skill}.md`;
}

/**
 * @typedef {object} RewriteOptions
 * @property {ReadonlyMap<string, string>} pages the pages, by the path of their file
 * @property {(path: string) => boolean} isAsset whether a file of the repository is copied to the site, at its own path
 * @property {string | null} sourceUrl the address of the files of the repository
 */

/**
 * Rewrites the relative links of a text, outside code.
 *
 * @param {string} text
 * @param {string} source path of its file
 * @param {RewriteOptions} options
 */
export function rewriteLinks(text, source, options) {
  const page = options.pages.get(source) ?? "index.md";
  /** @param {string} whole @param {string} mark @param {string} label @param {string} target */
  const rewrite = (whole, mark, label, target) => {
    if (/^(?:[a-z]+:|#|\/)/i.test(target)) return whole;
    const [path = "", fragment] = target.split("#");
    const file = posix.normalize(posix.join(posix.dirname(source), path)).replace(/\/$/, "");
    const hash = fragment === undefined ? "" : `#${fragment}`;
    const linked = options.pages.get(file) ?? options.pages.get(`${file}/README.md`) ?? options.pages.get(`${file}/`);
    if (linked !== undefined) return `${mark}[${label}](${relativeLink(page, linked)}${hash})`;
    if (options.isAsset(file)) return `${mark}[${label}](${relativeLink(page, file)})`;
    return options.sourceUrl === null ? label : `[${label}](${options.sourceUrl}/${file}${hash})`;
  };
  return mapProse(text, (prose) => prose.replaceAll(/(!?)\[((?:[^\][]|\[[^\]]*\])*)\]\(([^()\s]+)\)/g, rewrite));
}

/** @param {string} from @param {string} to both are pages */
function relativeLink(from, to) {
  const path = posix.relative(posix.dirname(from), to);
  return path.startsWith(".") ? path : `./${path}`;
}

/** Changes a text outside fenced blocks and code spans. @param {string} text @param {(prose: string) => string} change */
function mapProse(text, change) {
  return text
    .split(/^(```[\s\S]*?^```$)/m)
    .map((part) => (part.startsWith("```") ? part : change(part)))
    .join("");
}

/** The title of a page: its first heading. @param {string} text @param {string} fallback */
export function titleOf(text, fallback) {
  return /^# (.+)$/m.exec(text.replaceAll(/^```[\s\S]*?^```$/gm, ""))?.[1]?.replaceAll("`", "") ?? fallback;
}

/**
 * Makes an index page for a folder without one.
 *
 * @param {string} title
 * @param {readonly { readonly page: string, readonly title: string }[]} entries
 */
export function folderPage(title, entries) {
  const lines = entries.map(({ page, title: name }) => `- [${name}](./${posix.basename(page)})`);
  return `# ${title}\n\n${lines.join("\n")}\n`;
}

/**
 * The sections of `docs/README.md` with their pages, for navigation and `llms.txt`.
 *
 * @param {string} text with links of the site
 * @returns {{ title: string, entries: { title: string, page: string, summary: string }[] }[]}
 */
export function readSections(text) {
  return text
    .split(/^## /m)
    .slice(1)
    .map((section) => {
      const [title = "", ...lines] = section.split("\n");
      const rows = lines.filter((line) => /^\| \S.*\]\(/.test(line));
      return {
        title: title.trim(),
        entries: rows.flatMap((row) => {
          const [, cell = "", summary = ""] = row.split("|").map((part) => part.trim());
          return [...cell.matchAll(/\[([^\]]+)\]\(\.?\/?([^()#]+)\)/g)].map(([, name = "", page = ""]) => ({
            title: name.replaceAll("`", ""),
            page,
            summary,
          }));
        }),
      };
    });
}
