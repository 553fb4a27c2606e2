import { existsSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { installVerified, pinnedPnpmPackages, pnpmVersion } from "./pinned-pnpm.mjs";
import { integrityOf, openSampleRegistry } from "./sample-registry.mjs";

/** @type {Awaited<ReturnType<typeof openSampleRegistry>>} */
let registry;
beforeAll(async () => {
  registry = await openSampleRegistry();
});
afterAll(() => registry.close());

test.each(["linux-x64", "linux-arm64"])(
  "pnpm and its program for %s are pinned by version and SHA-512 hash",
  (platform) => {
    const packages = pinnedPnpmPackages(platform) ?? [];
    expect(packages.map(({ name }) => name)).toEqual(["pnpm", `@pnpm/exe.${platform}`]);
    for (const { version, integrity } of packages) {
      expect(version).toBe(pnpmVersion);
      expect(Buffer.from(integrity.replace(/^sha512-/, ""), "base64")).toHaveLength(64);
    }
  },
);

test("a pnpm with the pinned hash is installed", async () => {
  const folder = join(registry.folder, "right");
  expect(await installVerified(folder, [registry.sample], registry.url)).toBe(0);
  expect(existsSync(join(folder, "node_modules", registry.sample.name, "package.json"))).toBe(true);
}, 60_000);

test("a pnpm with another hash is refused before anything is unpacked or run, even if the registry's metadata matches it", async () => {
  const folder = join(registry.folder, "wrong");
  const tampered = { ...registry.sample, integrity: integrityOf(Buffer.from("what was reviewed")) };
  expect(await installVerified(folder, [tampered], registry.url)).not.toBe(0);
  expect(existsSync(join(folder, "node_modules", registry.sample.name))).toBe(false);
}, 60_000);
