import { existsSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { integrityOf, openSampleRegistry } from "./sample-registry.mjs";
import { installPinned, isSupportedNode, nodePackages } from "./supported-node.mjs";

test.each(["v22.18.0", "v22.23.3", "v24.11.0", "v24.21.0", "v26.0.0", "v27.1.0"])(
  "Node %s runs the sources and is used unchanged",
  (version) => {
    expect(isSupportedNode(version)).toBe(true);
  },
);

test.each(["v18.20.0", "v20.20.2", "v22.17.1", "v23.11.0", "v24.10.0", "v25.2.0"])(
  "Node %s is too old and is replaced",
  (version) => {
    expect(isSupportedNode(version)).toBe(false);
  },
);

test("every package that contains a Node binary is pinned by version and SHA-512 hash", () => {
  expect(nodePackages.size).toBeGreaterThan(0);
  for (const { version, integrity } of nodePackages.values()) {
    expect(version).toMatch(/^\d+\.\d+\.\d+$/);
    expect(Buffer.from(integrity.replace(/^sha512-/, ""), "base64")).toHaveLength(64);
  }
});

/** @type {Awaited<ReturnType<typeof openSampleRegistry>>} */
let registry;
beforeAll(async () => {
  registry = await openSampleRegistry();
});
afterAll(() => registry.close());

test("a package with the pinned hash is installed", async () => {
  const target = join(registry.folder, "right");
  const code = await installPinned(target, registry.sample, registry.url);
  expect(code).toBe(0);
  expect(existsSync(join(target, "node_modules", registry.sample.name, "package.json"))).toBe(true);
}, 60_000);

test("a package with another hash is refused before anything is unpacked, even if the registry's metadata matches it", async () => {
  const target = join(registry.folder, "wrong");
  const integrity = integrityOf(Buffer.from("what was reviewed"));
  const code = await installPinned(target, { ...registry.sample, integrity }, registry.url);
  expect(code).not.toBe(0);
  expect(existsSync(join(target, "node_modules", registry.sample.name))).toBe(false);
}, 60_000);
