import { describe, expect, test } from "vitest";
import { slugOf } from "../scripts/lib/config.mjs";
import { formatIndex, formatWhole } from "../scripts/lib/machine-readable.mjs";
import { pageOf, readSections, rewriteLinks } from "../scripts/lib/pages.mjs";
import { findSiteProblems } from "../scripts/lib/problems.mjs";

describe("links", () => {
  const pages = new Map([
    ["docs/README.md", "index.md"],
    ["docs/devices.md", "devices.md"],
    ["docs/problems/", "problems/index.md"],
    ["packages/cli/README.md", "packages/cli.md"],
  ]);
  const options = { pages, isAsset: (path: string) => path === "docs/images/a.svg", sourceUrl: null };
  const rewrite = (text: string) => rewriteLinks(text, "packages/cli/README.md", options);

  test("a link to a file that is a page points to the page, with its fragment", () => {
    expect(rewrite("[a](../../docs/devices.md#tags) [b](../../docs/problems)")).toBe(
      "[a](../devices.md#tags) [b](../problems/index.md)",
    );
  });

  test("an image stays an image", () => {
    expect(rewrite("![a](../../docs/images/a.svg)")).toBe("![a](../docs/images/a.svg)");
  });

  test("a link to a source file is plain text until the repository URL is configured", () => {
    expect(rewrite("see [`x`](src/x.ts#L1).")).toBe("see `x`.");
    const sourceUrl = "https://code.example/tree/main";
    expect(rewriteLinks("[x](src/x.ts)", "packages/cli/README.md", { ...options, sourceUrl })).toBe(
      "[x](https://code.example/tree/main/packages/cli/src/x.ts)",
    );
  });

  test("links to other hosts, and link syntax in code blocks, are unchanged", () => {
    const text = "[a](https://example.com)\n\n```text\n[a](b.md)\n```\n";
    expect(rewrite(text)).toBe(text);
  });
});

test("pages of the documentation and READMEs of packages are pages; other Markdown is not", () => {
  expect(["docs/README.md", "docs/deploy/node.md", "packages/client/README.md"].map(pageOf)).toEqual([
    "index.md",
    "deploy/node.md",
    "packages/client.md",
  ]);
  expect([".changeset/cli.md", "apps/proxy/test/fixtures/x/README.md"].map(pageOf)).toEqual([null, null]);
});

test("headings have the same ids as on GitHub", () => {
  expect(slugOf("`letta-env send DEVICE --agent ID`: what's sent?")).toBe(
    "letta-env-send-device---agent-id-whats-sent",
  );
});

test("the index for language models has each section with its summaries, and every other page as optional", () => {
  const index = "# D\n\n## Use\n\n| page | read it to |\n| --- | --- |\n| [Send](./sending.md) | send with `x` |\n";
  const pages = ["index.md", "sending.md", "problems/a.md"].map((page) => ({ page, title: `T ${page}`, text: "text" }));
  const text = formatIndex(readSections(index), pages, "/docs/");
  expect(text).toMatch(/^# Letta Environments\n\n> /);
  expect(text).toContain("## Use\n\n- [Send](/docs/sending.md): send with `x`\n");
  expect(text).toContain("## Optional\n\n- [T problems/a.md](/docs/problems/a.md)\n");
  expect(formatWhole(pages, "/docs/")).toContain("<!-- /docs/sending.md -->\n\ntext\n");
});

describe("the check of the built site", () => {
  const find = (html: string) =>
    findSiteProblems(
      new Map([
        ["a.html", html],
        ["b.html", '<h2 id="x">x</h2>'],
      ]),
      new Set(["a.html", "b.html"]),
      "/",
    );

  test("the check accepts links to pages and headings that exist, and links to other hosts", () => {
    expect(find('<a href="/b.html#x"></a><a href="./b.html"></a><a href="https://example.com/"></a>')).toEqual([]);
  });

  test("the check names a missing page, a missing heading, and what a page loads from another host", () => {
    const html = '<a href="/c.html"></a><a href="b.html#y"></a><script src="https://cdn.example/x.js"></script>';
    expect(find(html)).toEqual([
      "a.html: loads https://cdn.example/x.js from another host",
      "a.html: links to /c.html, which is not part of the site",
      "a.html: links to b.html#y, but that page has no such heading",
    ]);
  });
});
