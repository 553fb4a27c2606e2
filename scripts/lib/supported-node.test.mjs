import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { installPinned, isSupportedNode, nodePackages } from "./supported-node.mjs";

test.each(["v22.18.0", "v22.23.3", "v24.11.0", "v24.21.0", "v26.0.0", "v27.1.0"])(
  "Node %s runs the sources and is used as it is",
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

const pinned = { name: "pinned-sample", version: "1.0.0" };
let folder = "";
let tarball = Buffer.alloc(0);
/** A registry that serves one package and describes whatever it serves as correct. */
const registry = createServer((request, response) => {
  const tarballUrl = `http://${request.headers.host}/${pinned.name}/-/${pinned.name}-${pinned.version}.tgz`;
  if (request.url?.endsWith(".tgz")) response.end(tarball);
  else {
    const dist = { tarball: tarballUrl, integrity: integrityOf(tarball) };
    const versions = { [pinned.version]: { ...pinned, dist } };
    response.setHeader("content-type", "application/json");
    response.end(JSON.stringify({ name: pinned.name, "dist-tags": { latest: pinned.version }, versions }));
  }
});

/** @param {Buffer} content */
const integrityOf = (content) => `sha512-${createHash("sha512").update(content).digest("base64")}`;

const registryUrl = () => {
  const address = registry.address();
  return `http://127.0.0.1:${typeof address === "object" ? address?.port : ""}/`;
};

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "supported-node-"));
  mkdirSync(join(folder, "package"));
  writeFileSync(join(folder, "package", "package.json"), JSON.stringify(pinned));
  execFileSync("tar", ["-czf", "sample.tgz", "package"], { cwd: folder });
  tarball = readFileSync(join(folder, "sample.tgz"));
  await new Promise((resolve) => registry.listen(0, "127.0.0.1", () => resolve(undefined)));
});
afterAll(() => {
  registry.close();
  rmSync(folder, { recursive: true, force: true });
});

test("a package with the pinned hash is installed", async () => {
  const target = join(folder, "right");
  const code = await installPinned(target, { ...pinned, integrity: integrityOf(tarball) }, registryUrl());
  expect(code).toBe(0);
  expect(existsSync(join(target, "node_modules", pinned.name, "package.json"))).toBe(true);
}, 60_000);

test("a package with another hash is refused before anything is unpacked, even when the registry vouches for it", async () => {
  const target = join(folder, "wrong");
  const integrity = integrityOf(Buffer.from("what was reviewed"));
  const code = await installPinned(target, { ...pinned, integrity }, registryUrl());
  expect(code).not.toBe(0);
  expect(existsSync(join(target, "node_modules", pinned.name))).toBe(false);
}, 60_000);
