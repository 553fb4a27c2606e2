/** The forms for programs that read no HTML: `llms.txt` (llmstxt.org), `llms-full.txt` with every page, and the Markdown of each page beside it. */

/** @typedef {{ readonly page: string, readonly title: string, readonly text: string }} Page */
/** @typedef {{ title: string, entries: { title: string, page: string, summary: string }[] }} Section */

const summary =
  "Gateway, open environment server, typed client and command-line tool for Letta Code devices: machines that connect outwards and run the tasks that their agents receive.";

/**
 * The index of the site for language models.
 *
 * @param {readonly Section[]} sections of the documentation, in its order
 * @param {readonly Page[]} pages every page; those in no section are optional
 * @param {string} base path of the site, with a slash at its end
 */
export function formatIndex(sections, pages, base) {
  const listed = new Set(sections.flatMap(({ entries }) => entries.map(({ page }) => page)));
  const parts = [`# Letta Environments\n\n> ${summary}`];
  for (const { title, entries } of sections) {
    const lines = entries.map(
      (entry) =>
        `- [${entry.title}](${base}${entry.page}): ${entry.summary.replaceAll(/\[([^\]]*)\]\([^)]*\)/g, "$1")}`,
    );
    if (lines.length > 0) parts.push(`## ${title}\n\n${lines.join("\n")}`);
  }
  const others = pages.filter(({ page }) => !listed.has(page) && page !== "index.md");
  parts.push(`## Optional\n\n${others.map(({ page, title }) => `- [${title}](${base}${page})`).join("\n")}`);
  return `${parts.join("\n\n")}\n`;
}

/** Every page in one text, each after a line that names it. @param {readonly Page[]} pages @param {string} base */
export function formatWhole(pages, base) {
  return pages.map(({ page, text }) => `<!-- ${base}${page} -->\n\n${text.trim()}\n`).join("\n\n");
}
