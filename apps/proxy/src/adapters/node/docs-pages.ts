import { readFile } from "node:fs/promises";
import type { DocsPages } from "../../ports.ts";
import { parseDocsPages } from "../docs-pages.ts";
import { errorCode } from "./data-dir.ts";

/** The file that the build writes beside the bundles. */
const fileName = "docs-pages.json";

/** Reads the pages of `/docs` from the file beside the bundle, or generates them if the gateway runs from its sources; `null` if there are none. */
export async function readDocsPages(): Promise<DocsPages | null> {
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
