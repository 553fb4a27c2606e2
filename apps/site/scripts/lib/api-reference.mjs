/** The API reference of the published packages, made from their types and docstrings by TypeDoc: one page for each entry point. */
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { dirname, join, posix } from "node:path";
import { Application } from "typedoc";
import { slugOf } from "./config.mjs";

/** Entry points by page. @type {readonly (readonly [page: string, source: string, title: string])[]} */
const entryPoints = [
  ["client.md", "packages/client/src/index.ts", "@letta-environments/client"],
  ["client-drift.md", "packages/client/src/drift.ts", "@letta-environments/client/drift"],
  ["client-opentelemetry.md", "packages/client/src/opentelemetry.ts", "@letta-environments/client/opentelemetry"],
  ["client-testing.md", "packages/client/src/testing/index.ts", "@letta-environments/client/testing"],
  ["schema.md", "packages/schema/src/index.ts", "@letta-environments/schema"],
  ["http-cache.md", "packages/http-cache/src/index.ts", "@letta-environments/http-cache"],
  ["http-cache-rfc9111.md", "packages/http-cache/src/rfc9111.ts", "@letta-environments/http-cache/rfc9111"],
  ["http-cache-testing.md", "packages/http-cache/src/testing.ts", "@letta-environments/http-cache/testing"],
  ["environment-server.md", "packages/environment-server/src/index.ts", "@letta-environments/environment-server"],
  [
    "environment-server-node.md",
    "packages/environment-server/src/runtimes/node.ts",
    "@letta-environments/environment-server/node",
  ],
  [
    "environment-server-bun.md",
    "packages/environment-server/src/runtimes/bun.ts",
    "@letta-environments/environment-server/bun",
  ],
  ["proxy.md", "apps/proxy/src/runtimes/index.ts", "@letta-environments/proxy"],
  [
    "environment-server-sqlite.md",
    "packages/environment-server/src/sqlite.ts",
    "@letta-environments/environment-server/sqlite",
  ],
];

/** The pages, in their order. @type {readonly { readonly page: string, readonly title: string }[]} */
export const apiPages = entryPoints.map(([page, , title]) => ({ page: `api/${page}`, title }));

/**
 * Writes the pages of the reference.
 *
 * @param {string} root the repository
 * @param {string} folder receives `api/`
 */
export async function writeApiReference(root, folder) {
  const generated = join(folder, ".api");
  const app = await Application.bootstrapWithPlugins({
    plugin: ["typedoc-plugin-markdown"],
    entryPoints: entryPoints.map(([, source]) => join(root, source)),
    tsconfig: join(root, "apps/site/tsconfig.api.json"),
    out: generated,
    // The types are checked by `pnpm check`.
    skipErrorChecking: true,
    readme: "none",
    basePath: root,
    excludeExternals: true,
    excludeInternal: true,
    excludePrivate: true,
    disableSources: true,
    logLevel: "Error",
    .../** @type {object} */ ({ router: "module", hidePageHeader: true, hideBreadcrumbs: true, hidePageTitle: true }),
  });
  const project = await app.convert();
  if (project === undefined) throw new Error("TypeDoc could not read the entry points");
  await app.generateOutputs(project);
  if (app.logger.hasErrors()) throw new Error("TypeDoc reported errors");
  await mkdir(join(folder, "api"), { recursive: true });
  const pages = new Map(entryPoints.map(([page, source]) => [modulePage(source), page]));
  const texts = new Map(
    await Promise.all(
      entryPoints.map(async ([page, source, title]) => {
        const text = await readFile(join(generated, modulePage(source)), "utf8");
        return /** @type {const} */ ([page, `# ${title}\n\n${relink(text, modulePage(source), pages)}`]);
      }),
    ),
  );
  const ids = new Map([...texts].map(([page, text]) => [page, headingIds(text)]));
  for (const [page, text] of texts) await writeFile(join(folder, "api", page), settleFragments(text, page, ids));
  await rm(generated, { recursive: true });
}

/** The page that TypeDoc writes for an entry point. @param {string} source */
function modulePage(source) {
  return `${source.replace(/(?:\/index)?\.ts$/, "")}.md`;
}

/** @param {string} text @param {string} from @param {ReadonlyMap<string, string>} pages */
function relink(text, from, pages) {
  return text.replaceAll(/\]\(([^()#\s]+\.md)(#[^()\s]*)?\)/g, (whole, path, hash = "") => {
    const page = pages.get(posix.join(dirname(from), path));
    return page === undefined ? whole : `](./${page}${hash})`;
  });
}

/** The ids of the headings of a page; those of equal headings are numbered. @param {string} text */
function headingIds(text) {
  /** @type {Set<string>} */
  const ids = new Set();
  for (const [, heading = ""] of text.replaceAll(/^```[\s\S]*?^```$/gm, "").matchAll(/^#{1,6} (.+)$/gm)) {
    const slug = slugOf(heading.replaceAll(/[`\\~*]/g, ""));
    let id = slug;
    for (let number = 1; ids.has(id); number += 1) id = `${slug}-${number}`;
    ids.add(id);
  }
  return ids;
}

/**
 * TypeDoc numbers some unique headings. Links to a missing number go to the next lower one.
 *
 * @param {string} text @param {string} page @param {ReadonlyMap<string, ReadonlySet<string>>} ids by page
 */
function settleFragments(text, page, ids) {
  return text.replaceAll(/\]\((?:\.\/([^()#\s]+\.md))?#([^()\s]+)-(\d+)\)/g, (whole, other, slug, number) => {
    const known = ids.get(other ?? page);
    if (known === undefined || known.has(`${slug}-${number}`)) return whole;
    let left = Number(number) - 1;
    while (left > 0 && !known.has(`${slug}-${left}`)) left -= 1;
    const path = other === undefined ? "" : `./${other}`;
    return `](${path}#${left > 0 ? `${slug}-${left}` : slug})`;
  });
}
