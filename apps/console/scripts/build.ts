/**
 * Builds the console into `dist/`: a page, its first script and style, and further scripts that are loaded with the views that need them.
 * Names change with the content, so that browsers keep the files, and each file is also compressed.
 */
import { createHash } from "node:crypto";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";
import { build as buildStyle } from "esbuild";
import { build as buildScripts } from "tsdown";

const source = join(import.meta.dirname, "../src");
const target = join(import.meta.dirname, "../dist");

await buildScripts({
  config: false,
  entry: { main: join(source, "main.tsx") },
  outDir: target,
  format: "esm",
  platform: "browser",
  target: "es2023",
  tsconfig: join(source, "../tsconfig.json"),
  minify: true,
  dts: false,
  sourcemap: false,
  clean: true,
  logLevel: "warn",
  deps: { alwaysBundle: [/.*/], onlyBundle: false },
  outputOptions: { entryFileNames: "[name]-[hash].js", chunkFileNames: "[name]-[hash].js" },
});
const { outputFiles } = await buildStyle({
  entryPoints: { style: join(source, "style/index.css") },
  outdir: target,
  bundle: true,
  minify: true,
  entryNames: "[name]-[hash]",
  write: false,
});
const icon = await readFile(join(source, "icon.svg"));
const iconName = `icon-${createHash("sha256").update(icon).digest("hex").slice(0, 8)}.svg`;
const files = new Map<string, Uint8Array>([[iconName, icon]]);
for (const { path, contents } of outputFiles) files.set(basename(path), contents);
for (const name of await readdir(target)) files.set(name, await readFile(join(target, name)));

const nameOf = (pattern: RegExp): string => [...files.keys()].find((name) => pattern.test(name)) ?? "";
const page = (await readFile(join(source, "index.html"), "utf8"))
  .replace("ICON", iconName)
  .replace("STYLE", nameOf(/^style-.*\.css$/))
  .replace("SCRIPT", nameOf(/^main-.*\.js$/))
  .replaceAll(/\n\s*/g, "\n");
files.set("index.html", new TextEncoder().encode(page));

for (const [name, bytes] of files) {
  await writeFile(join(target, name), bytes);
  await writeFile(join(target, `${name}.gz`), gzipSync(bytes, { level: 9 }));
  const quality = { params: { [constants.BROTLI_PARAM_QUALITY]: constants.BROTLI_MAX_QUALITY } };
  await writeFile(join(target, `${name}.br`), brotliCompressSync(bytes, quality));
}
