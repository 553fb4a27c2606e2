/** The configuration of VitePress. Everything that a page loads is part of the site: fonts, search index and scripts. */

/** Ids of headings as GitHub makes them, so that links work in both places. @param {string} text */
export function slugOf(text) {
  return text
    .trim()
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}\p{M}_ -]/gu, "")
    .replaceAll(" ", "-");
}

/**
 * @param {object} options
 * @param {string} options.source folder of the pages
 * @param {string} options.output
 * @param {string} options.base path of the site, with a slash at its end
 * @param {readonly { title: string, entries: readonly { title: string, page: string }[] }[]} options.sections for the navigation
 * @returns {import("vitepress").UserConfig<import("vitepress").DefaultTheme.Config>}
 */
export function siteConfig({ source, output, base, sections }) {
  return {
    title: "Letta Environments",
    description: "Gateway, environment server, client and command-line tool for Letta Code devices",
    srcDir: source,
    outDir: output,
    base,
    cleanUrls: false,
    // A link to a page that does not exist fails the build.
    ignoreDeadLinks: false,
    lastUpdated: false,
    metaChunk: true,
    markdown: {
      html: false,
      anchor: { slugify: slugOf },
      languageAlias: { console: "shellsession" },
    },
    themeConfig: {
      outline: [2, 3],
      search: { provider: "local" },
      sidebar: sections.map(({ title, entries }, index) => ({
        text: title,
        collapsed: index > 2,
        items: entries.map((entry) => ({ text: entry.title, link: `/${entry.page}` })),
      })),
      docFooter: { prev: false, next: false },
    },
  };
}
