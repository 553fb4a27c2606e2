/**
 * Makes the pages of `/docs` from `openapi.json` and `docs/problems`. The build writes them to a file beside the bundles; a gateway that runs from
 * its sources makes them on the first request.
 */
import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { DocsPages } from "../../src/ports.ts";
import type { OpenApi } from "./document.ts";
import { createMarkdown, hashSource, htmlPage } from "./html.ts";
import { indexPage } from "./index-page.ts";

const here = import.meta.dirname;
const problemsFolder = join(here, "../../../../docs/problems");

/** Makes the pages. */
export function createDocsPages(): DocsPages {
  const read = (name: string): string => readFileSync(join(here, name), "utf8");
  const document = JSON.parse(read("../../openapi.json")) as OpenApi;
  const [style, script] = [read("page.css"), read("page.js")];
  const codes = readdirSync(problemsFolder)
    .filter((name) => name !== "README.md")
    .map((name) => name.replace(/\.md$/, ""))
    .toSorted();
  const problemPages = codes.map((code): [string, string] => {
    const text = readFileSync(join(problemsFolder, `${code}.md`), "utf8");
    return [code, problemPage(text, style)];
  });
  const pages = {
    contentSecurityPolicy: [
      "default-src 'none'",
      `script-src ${hashSource(script)}`,
      `style-src ${hashSource(style)}`,
      "connect-src 'self'",
      "base-uri 'none'",
      "form-action 'none'",
      "frame-ancestors 'none'",
      "require-trusted-types-for 'script'",
      "trusted-types 'none'",
    ].join("; "),
    index: indexPage({ document, markdown: createMarkdown(() => null) }, { style, script }),
    problems: problemPage(readFileSync(join(problemsFolder, "README.md"), "utf8"), style),
    problemPages: Object.fromEntries(problemPages),
  };
  const digest = createHash("sha256").update(JSON.stringify(pages)).digest("hex");
  return { entityTag: `"${digest.slice(0, 32)}"`, ...pages };
}

function problemPage(markdown: string, style: string): string {
  const title = /^# (.*)$/m.exec(markdown)?.[1] ?? "Problem";
  const toHtml = createMarkdown((href) => {
    const code = /^([a-z_]+)\.md$/.exec(href)?.[1];
    return code === undefined ? null : `/docs/problems/${code}`;
  });
  return htmlPage({ title, style, body: `${backLinks}<main>${toHtml(markdown)}</main>` });
}

const backLinks =
  '<nav aria-label="Contents"><p><a href="/docs">API</a></p><p><a href="/docs/problems/">Problems</a></p></nav>';
