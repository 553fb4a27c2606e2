/**
 * `pnpm docs:build [--out DIR]`: builds the documentation as a static site, from the Markdown of the repository and the types of the packages.
 * `pnpm docs:dev` serves it instead. `SITE_BASE` is the path that the site has at its host (default `/`), `SITE_SOURCE_URL` the address of the
 * files of the repository, without which links to source files are plain text.
 */
import { existsSync, globSync } from "node:fs";
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import process from "node:process";
import { parseArgs } from "node:util";
import { build, createServer } from "vitepress";
import { formatIndex, formatWhole } from "./lib/machine-readable.mjs";
import { findSiteProblems } from "./lib/problems.mjs";
import { stagePages } from "./lib/stage.mjs";

const repositoryRoot = resolve(import.meta.dirname, "../../..");

/** Where pages, and the files that they show, can be. */
const patterns = [
  "*.md",
  "docs/**/*.{md,svg,png}",
  "{apps,packages}/*/README.md",
  "{bench,examples}/README.md",
  "skills/*/SKILL.md",
];

/** A failure that the person at the command line can do something about. */
class UsageError extends Error {}

/** @typedef {{ readonly output: string, readonly serve: boolean, readonly base: string, readonly sourceUrl: string | null }} Options */

/** @returns {Promise<Options>} */
async function readOptions() {
  const { values } = parseArgs({ options: { out: { type: "string" }, serve: { type: "boolean", default: false } } });
  const output = resolve(values.out ?? join(import.meta.dirname, "../dist"));
  const base = process.env["SITE_BASE"] ?? "/";
  const sourceUrl = process.env["SITE_SOURCE_URL"]?.replace(/\/$/, "") ?? null;
  if (!/^\/(?:[\w.-]+\/)*$/.test(base)) {
    throw new UsageError("SITE_BASE must be a path that begins and ends with a slash, such as /docs/");
  }
  if (sourceUrl !== null && !/^https:\/\/\S+$/.test(sourceUrl)) {
    throw new UsageError("SITE_SOURCE_URL must be an https: URL");
  }
  if (existsSync(output) && !existsSync(join(output, "llms.txt")) && (await readdir(output)).length > 0) {
    throw new UsageError(`${output} has other files: choose an empty folder with --out`);
  }
  return { output, serve: values.serve, base, sourceUrl };
}

/**
 * Builds the site in a folder and checks it. Returns the number of its pages.
 *
 * @param {string} folder has the pages and the configuration
 * @param {string} built
 * @param {Awaited<ReturnType<typeof stagePages>>} staged
 * @param {string} base
 */
async function buildSite(folder, built, { pages, sections }, base) {
  await build(folder, { outDir: built });
  for (const { page, text } of pages) {
    await mkdir(dirname(join(built, page)), { recursive: true });
    await writeFile(join(built, page), text);
  }
  await writeFile(join(built, "llms.txt"), formatIndex(sections, pages, base));
  await writeFile(join(built, "llms-full.txt"), formatWhole(pages, base));
  const paths = (await readdir(built, { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(built.length + 1));
  const html = await Promise.all(
    paths
      .filter((path) => path.endsWith(".html"))
      .map(async (path) => /** @type {const} */ ([path, await readFile(join(built, path), "utf8")])),
  );
  const problems = findSiteProblems(new Map(html), new Set(paths), base);
  if (problems.length > 0) throw new UsageError([...problems.slice(0, 40), `${problems.length} problems`].join("\n"));
}

/** @param {string} folder */
async function serveSite(folder) {
  const server = await createServer(folder, { host: "127.0.0.1" });
  await server.listen();
  server.printUrls();
  await new Promise((stop) => process.once("SIGINT", stop).once("SIGTERM", stop));
  await server.close();
}

/** @param {Options} options */
async function run({ output, serve, base, sourceUrl }) {
  // VitePress finds its own modules from the folder of the pages, so that folder is inside this package.
  const cache = join(import.meta.dirname, "../.cache");
  await mkdir(cache, { recursive: true });
  const folder = await mkdtemp(join(cache, "pages-"));
  try {
    const files = globSync(patterns, { cwd: repositoryRoot });
    const staged = await stagePages({ root: repositoryRoot, files, folder, sourceUrl });
    const built = join(folder, ".built");
    const options = { source: folder, output: built, base, sections: staged.sections };
    await mkdir(join(folder, ".vitepress"));
    await writeFile(
      join(folder, ".vitepress", "config.mjs"),
      `import { siteConfig } from ${JSON.stringify(join(import.meta.dirname, "lib/config.mjs"))};
export default siteConfig(${JSON.stringify(options)});\n`,
    );
    if (serve) return await serveSite(folder);
    await buildSite(folder, built, staged, base);
    // The old site stays until the new one is complete.
    await rm(output, { recursive: true, force: true });
    await cp(built, output, { recursive: true });
    process.stdout.write(`${staged.pages.length} pages in ${output}\n`);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

try {
  await run(await readOptions());
} catch (error) {
  if (!(error instanceof UsageError)) throw error;
  process.stderr.write(`docs:build: ${error.message}\n`);
  process.exitCode = 1;
}
