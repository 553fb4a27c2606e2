/**
 * The files that the build writes beside the bundles: the pages of `/docs`, and the files of the web console in `console/`, each also compressed. The
 * console's files are read when a browser requests them, and kept in memory afterwards.
 */
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { ConsoleFile, DocsPages, ReadConsoleFile } from "../../ports.ts";
import { parseDocsPages } from "../docs-pages.ts";
import { errorCode } from "./data-dir.ts";

/** Beside the bundle, or where `apps/console` builds it when the sources run unbuilt. */
const folders: readonly string[] = ["console", "../../../../console/dist"];

const mediaTypes: Readonly<Record<string, string>> = {
  html: "text/html; charset=utf-8",
  js: "text/javascript; charset=utf-8",
  css: "text/css; charset=utf-8",
  svg: "image/svg+xml",
};

const encodings = [
  { suffix: ".br", encoding: "br" },
  { suffix: ".gz", encoding: "gzip" },
] as const;

/** Returns the files of the built console; `null` if it is not built, or cannot be read. */
export function openConsoleFiles(): ReadConsoleFile | null {
  const folder = folders.map((name) => join(import.meta.dirname, name)).find(hasPage);
  return folder === undefined ? null : createConsoleFiles(folder);
}

function hasPage(folder: string): boolean {
  try {
    return existsSync(join(folder, "index.html"));
  } catch {
    // Deno throws if the process lacks the permission.
    return false;
  }
}

/** Creates a {@link ReadConsoleFile} over the files of a folder. */
export function createConsoleFiles(folder: string): ReadConsoleFile {
  let known: ReadonlySet<string> | null = null;
  const loaded = new Map<string, ConsoleFile>();

  function load(name: string, mediaType: string, suffix: string, encoding: ConsoleFile["encoding"]): ConsoleFile {
    const before = loaded.get(name + suffix);
    if (before !== undefined) return before;
    const bytes = readFileSync(join(folder, name + suffix));
    const entityTag = `"${createHash("sha256").update(bytes).digest("hex").slice(0, 32)}"`;
    const file = { bytes, encoding, mediaType, entityTag, isImmutable: name !== "index.html" };
    loaded.set(name + suffix, file);
    return file;
  }

  return async (name, acceptEncoding) => {
    // Only files of this folder are read, whatever the path says.
    const names = (known ??= new Set(readdirSync(folder)));
    const mediaType = mediaTypes[name.split(".").at(-1) ?? ""];
    if (!names.has(name) || mediaType === undefined) return null;
    const accepted = encodings.find(
      ({ suffix, encoding }) => names.has(name + suffix) && accepts(acceptEncoding, encoding),
    );
    return load(name, mediaType, accepted?.suffix ?? "", accepted?.encoding ?? null);
  };
}

function accepts(header: string, encoding: string): boolean {
  return header.split(",").some((item) => {
    const [name, ...parameters] = item.split(";").map((part) => part.trim().toLowerCase());
    return name === encoding && !parameters.some((parameter) => /^q=0(?:\.0*)?$/.test(parameter));
  });
}

/** Reads the pages of `/docs` from the file beside the bundle, or generates them if the gateway runs from its sources; `null` if there are none. */
export async function readDocsPages(): Promise<DocsPages | null> {
  const beside = new URL("docs-pages.json", import.meta.url);
  const text = await readFile(beside, "utf8").catch((cause: unknown) => {
    if (errorCode(cause) === "ENOENT") return null;
    throw cause;
  });
  if (text !== null) return parseDocsPages(text);
  if (!import.meta.url.endsWith("/src/adapters/node/static-files.ts")) return null;
  // The address is computed, so that no bundle contains the program that generates the pages.
  const maker = new URL("../../../scripts/docs-pages/pages.ts", import.meta.url).href;
  const { createDocsPages } = (await import(maker)) as { readonly createDocsPages: () => DocsPages };
  return createDocsPages();
}
