/**
 * Writes the static files beside the built gateway: the console, which a process reads, and the assets that Cloudflare serves in front of
 * the Worker. Runs after the bundles are written.
 */
import { cp, mkdir, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { type Asset, consoleAssets, docsAssets, headersFile } from "./worker-assets.ts";

const built = join(import.meta.dirname, "../dist");
const openApi = join(import.meta.dirname, "../openapi.json");
const consoleSource = join(import.meta.dirname, "../../console/dist");

await rm(join(built, "console"), { recursive: true, force: true });
await cp(consoleSource, join(built, "console"), { recursive: true });

const docs = await docsAssets();
await writeAssets("worker-assets", docs);
await writeAssets("worker-console-assets", [...docs, ...(await consoleAssets(consoleSource))]);

/** Writes the folder that a wrangler configuration names: the API description, which the Worker reads, the assets and their headers. */
async function writeAssets(name: string, assets: readonly Asset[]): Promise<void> {
  const folder = join(built, name);
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder);
  await cp(openApi, join(folder, "openapi.json"));
  await writeFile(join(folder, "_headers"), headersFile(assets));
  for (const { file, bytes } of assets) {
    await mkdir(dirname(join(folder, file)), { recursive: true });
    await writeFile(join(folder, file), bytes);
  }
}
