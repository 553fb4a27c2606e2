/** Loads the pages of `/docs` from wherever a host keeps `docs-pages.json`, which the build writes. */
import { isJsonObject, parseJson } from "../lib/json.ts";
import type { DocsPages, LoadDocs } from "../ports.ts";

/** Creates a function that loads the pages once. A failure is reported, and the next request tries again. */
export function loadDocsOnce(load: () => Promise<DocsPages | null>, onFailure: (cause: unknown) => void): LoadDocs {
  let loading: Promise<DocsPages | null> | null = null;
  return () => {
    loading ??= load().catch((cause: unknown) => {
      loading = null;
      onFailure(cause);
      return null;
    });
    return loading;
  };
}

/** Reads the text of `docs-pages.json`. @throws TypeError for any other text */
export function parseDocsPages(text: string): DocsPages {
  const value = parseJson(text);
  const isWhole =
    isJsonObject(value) &&
    ["entityTag", "contentSecurityPolicy", "index", "problems"].every((name) => typeof value[name] === "string") &&
    isJsonObject(value["problemPages"]);
  if (!isWhole) throw new TypeError("the text is not that of docs-pages.json");
  // The build writes nothing else under these names.
  return value as unknown as DocsPages;
}
