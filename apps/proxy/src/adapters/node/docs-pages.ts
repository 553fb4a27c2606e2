/** Loads the pages of `/docs` with the first request, from the file beside the bundle, or generates them if the gateway runs from its sources. */
import { readFile } from "node:fs/promises";
import type { DocsPages, LoadDocs } from "../../ports.ts";
import { loadDocsOnce, parseDocsPages } from "../docs-pages.ts";
import { errorCode } from "./data-dir.ts";

/** The file that the build writes beside the bundles. */
const fileName = "docs-pages.json";

/** Creates a function that loads the pages once. A failure is reported, and the next request tries again. */
export function createLoadDocs(onFailure: (cause: unknown) => void): LoadDocs {
  return loadDocsOnce(load, onFailure);
}

async function load(): Promise<DocsPages | null> {
  const beside = new URL(fileName, import.meta.url);
  const text = await readFile(beside, "utf8").catch((cause: unknown) => {
    if (errorCode(cause) === "ENOENT") return null;
    throw cause;
  });
  if (text !== null) return parseDocsPages(text);
  if (!import.meta.url.endsWith("/src/adapters/node/docs-pages.ts")) return null;
  // The address is computed, so that no bundle contains the program that generates the pages.
  const maker = new URL("../../../scripts/docs-pages/pages.ts", import.meta.url).href;
  const { createDocsPages } = (await import(maker)) as { readonly createDocsPages: () => DocsPages };
  return createDocsPages();
}
