/** Collects the pages of the repository in one folder, as VitePress reads them. */
import { cp, mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join, posix } from "node:path";
import { apiPages, writeApiReference } from "./api-reference.mjs";
import { folderPage, pageOf, readSections, rewriteLinks, titleOf } from "./pages.mjs";

/** Folders of `docs/` whose pages are listed on a page of their own. */
const folders = /** @type {const} */ ([["decisions", "Decisions"]]);

/**
 * Writes every page to a folder.
 *
 * @param {object} options
 * @param {string} options.root the repository
 * @param {readonly string[]} options.files the files of the repository
 * @param {string} options.folder
 * @param {string | null} options.sourceUrl see `rewriteLinks`
 */
export async function stagePages({ root, files, folder, sourceUrl }) {
  /** @type {Map<string, string>} */
  const pages = new Map();
  for (const file of files) {
    const page = pageOf(file);
    if (page !== null) pages.set(file, page);
  }
  /** @type {import("./machine-readable.mjs").Page[]} */
  const written = [];
  /** @param {string} page @param {string} text */
  const write = async (page, text) => {
    const path = join(folder, page);
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, text);
    written.push({ page, text, title: titleOf(text, page) });
  };
  const texts = new Map(
    await Promise.all(
      [...pages.keys()].map(async (file) => /** @type {const} */ ([file, await readFile(join(root, file), "utf8")])),
    ),
  );
  for (const [name] of folders) pages.set(`docs/${name}/`, `${name}/index.md`);
  const assets = files.filter((file) => /^docs\/.*\.(?:svg|png|json)$/.test(file));
  for (const asset of assets) await cp(join(root, asset), join(folder, asset), { recursive: true });
  const isAsset = (/** @type {string} */ path) => assets.includes(path);
  for (const [file, text] of texts) {
    await write(pages.get(file) ?? file, rewriteLinks(withoutFrontMatter(text), file, { pages, isAsset, sourceUrl }));
  }
  for (const [name, title] of folders) {
    const entries = written.filter(({ page }) => posix.dirname(page) === name);
    await write(
      `${name}/index.md`,
      folderPage(
        title,
        entries.sort((left, right) => (left.page < right.page ? -1 : 1)),
      ),
    );
  }
  await writeApiReference(root, folder);
  for (const { page } of apiPages) {
    const text = await readFile(join(folder, page), "utf8");
    written.push({ page, text, title: titleOf(text, page) });
  }
  const index = written.find(({ page }) => page === "index.md")?.text ?? "";
  const entries = apiPages.map(({ page, title }) => ({ page, title, summary: "types and functions, from the source" }));
  const sections = [...readSections(index), { title: "API reference", entries }];
  return { pages: written.sort((left, right) => (left.page < right.page ? -1 : 1)), sections };
}

/** A skill begins with front matter for agents, which VitePress would read as its own. @param {string} text */
function withoutFrontMatter(text) {
  return text.replace(/^---\n[\s\S]*?\n---\n+/, "");
}
