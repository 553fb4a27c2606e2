/** Packs the packages, serves them like a registry, and installs all of them in one clean project that tests may read but not change. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import type { TestProject } from "vitest/node";
import { packAll, type Tarball } from "../../scripts/release/pack.mjs";
import { openLocalRegistry } from "../../scripts/release/registry.mjs";
import { createProject, type Installation } from "./project.ts";

declare module "vitest" {
  export interface ProvidedContext {
    /** How clean projects install the packages. */
    readonly installation: Installation;
    /** The project with every package. */
    readonly everything: string;
    readonly tarballs: readonly Tarball[];
  }
}

export async function setup(project: TestProject): Promise<() => void> {
  const folder = mkdtempSync(join(tmpdir(), "consumers-"));
  const tarballs = await packAll(join(folder, "tarballs"), null);
  const registry = await openLocalRegistry(tarballs);
  const installation = { registry: registry.url, cache: join(folder, "cache") };
  const everything = createProject(join(folder, "everything"), installation);
  await everything.install(...tarballs.map(({ name }) => name));
  project.provide("installation", installation);
  project.provide("everything", everything.folder);
  project.provide("tarballs", tarballs);
  return () => {
    registry.close();
    // A process that a failed test left behind may still write.
    if (process.env["KEEP_CONSUMERS"] === undefined) rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  };
}
