/**
 * Builds the console into `dist/`: a page, its first script and style, and further scripts that are loaded with the views that need them.
 * Names change with the content, so that browsers keep the files, and each file is also compressed. A checkout builds it before its first
 * start, so it needs nothing but Rolldown.
 */
import { createHash } from "node:crypto";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";
import { build } from "rolldown";

const source = join(import.meta.dirname, "../src");
const target = join(import.meta.dirname, "../dist");
const styles = ["base.css", "layout.css", "parts.css", "chart.css"];

/** Every view needs Preact and what the first view imports. In two files: each costs a request and some bytes, and Preact changes rarely. */
const scriptGroups = [
  { name: "preact", test: /node_modules\/@?preact\//, priority: 2 },
  { name: "first", test: /src\/main\.tsx$/, includeDependenciesRecursively: true, priority: 1 },
];

const { output } = await build({
  input: { main: join(source, "main.tsx") },
  platform: "browser",
  tsconfig: join(source, "../tsconfig.json"),
  write: false,
  output: {
    format: "esm",
    minify: true,
    // Marks for bundlers: nobody bundles these files again.
    comments: { annotation: false },
    entryFileNames: "[name]-[hash].js",
    chunkFileNames: "[name]-[hash].js",
    codeSplitting: { groups: scriptGroups },
  },
});
const files = new Map<string, Uint8Array>();
const encode = (text: string): Uint8Array => new TextEncoder().encode(text);
for (const file of output) files.set(file.fileName, encode(file.type === "chunk" ? file.code : String(file.source)));
const sheets = await Promise.all(styles.map((name) => readFile(join(source, "style", name), "utf8")));
add("style", "css", encode(sheets.join("").replaceAll(/\n\s*/g, "\n")));
add("icon", "svg", await readFile(join(source, "icon.svg")));

const nameOf = (pattern: RegExp): string => [...files.keys()].find((name) => pattern.test(name)) ?? "";
const page = (await readFile(join(source, "index.html"), "utf8"))
  .replace("ICON", nameOf(/^icon-/))
  .replace("STYLE", nameOf(/^style-.*\.css$/))
  .replace("SCRIPT", nameOf(/^main-.*\.js$/))
  .replaceAll(/\n\s*/g, "\n");
files.set("index.html", encode(page));

await rm(target, { recursive: true, force: true });
await mkdir(target);
for (const [name, bytes] of files) {
  await writeFile(join(target, name), bytes);
  await writeFile(join(target, `${name}.gz`), gzipSync(bytes, { level: 9 }));
  const quality = { params: { [constants.BROTLI_PARAM_QUALITY]: constants.BROTLI_MAX_QUALITY } };
  await writeFile(join(target, `${name}.br`), brotliCompressSync(bytes, quality));
}

/** Adds a file under a name that changes with its content. */
function add(name: string, extension: string, bytes: Uint8Array): void {
  files.set(`${name}-${createHash("sha256").update(bytes).digest("hex").slice(0, 8)}.${extension}`, bytes);
}
