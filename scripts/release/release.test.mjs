import { describe, expect, test } from "vitest";
import { parseReleaseConfig } from "./config.mjs";
import { jsrConfig } from "./jsr.mjs";
import { formatLicences } from "./licences.mjs";
import { missingMetadata, neededFiles, publishedManifest } from "./manifest.mjs";
import { latestChanges } from "./plan.mjs";
import { findObstacle } from "./publish.mjs";

describe("settings of a release", () => {
  test("the homepage and bug tracker of a release are derived from the repository", () => {
    expect(parseReleaseConfig('{"repository":"https://git.example/a/b.git"}')).toEqual({
      ok: true,
      config: {
        repository: "https://git.example/a/b",
        homepage: "https://git.example/a/b",
        bugs: "https://git.example/a/b/issues",
      },
    });
  });

  test.each([
    [null, 'this file is missing; create it with "repository", the https address of the repository'],
    ["[]", "must be a JSON object"],
    ["nonsense", "must be a JSON object"],
    ["{}", "repository is required"],
    ['{"repository":"git@git.example:a/b"}', "repository must be an https address"],
    ['{"repository":"https://name:secret@git.example/a"}', "repository must be an https address"],
    ['{"repository":"https://git.example/a","homepage":1}', "homepage must be an https address"],
    ['{"repo":"https://git.example/a"}', "unknown setting; the settings are repository, homepage, bugs"],
  ])("the release settings %s are refused with the rule", (text, rule) => {
    expect(parseReleaseConfig(text)).toEqual({ ok: false, problem: `release.config.json: ${rule}` });
  });
});

describe("published manifests", () => {
  const packed = {
    name: "@letta-environments/sample",
    version: "1.2.3",
    description: "A sample",
    keywords: ["sample"],
    license: "Apache-2.0",
    files: ["dist"],
    exports: { ".": "./dist/index.js" },
    scripts: { build: "tsdown" },
    imports: { "#inside": "./src/inside.ts" },
    dependencies: { "@letta-environments/platform": "^0.0.0", valibot: "^1.5.0" },
    devDependencies: { vitest: "5.1.1" },
    engines: { node: ">=20" },
  };
  const isBundled = (/** @type {string} */ name) => name === "@letta-environments/platform";

  test("a published manifest has no bundled dependencies and no members that only the repository needs", () => {
    const published = publishedManifest(packed, { folder: "packages/sample", isBundled, release: null });
    expect(published["dependencies"]).toEqual({ valibot: "^1.5.0" });
    for (const name of ["scripts", "devDependencies", "imports", "repository"])
      expect(published).not.toHaveProperty(name);
    expect(missingMetadata(published, false)).toEqual([]);
  });

  test("a published manifest lacks the address of the repository until there are settings of a release", () => {
    const published = publishedManifest(packed, { folder: "packages/sample", isBundled: () => true, release: null });
    expect(published).not.toHaveProperty("dependencies");
    expect(missingMetadata(published, true)).toEqual([
      "repository is missing",
      "homepage is missing",
      "bugs is missing",
    ]);
  });

  test("a manifest with a range that only this repository understands is refused", () => {
    const manifest = { ...packed, dependencies: { valibot: "catalog:" } };
    expect(missingMetadata(manifest, false)).toEqual(["the dependency valibot would be published as catalog:"]);
  });
});

test("a tarball needs its licence, notice, README and programs, and a changelog from the first release on", () => {
  const bin = { sample: "./dist/bin.js" };
  const always = ["LICENSE", "NOTICE", "README.md"];
  expect(neededFiles({ version: "0.0.0" })).toEqual(always);
  expect(neededFiles({ version: "0.1.0", bin })).toEqual([...always, "CHANGELOG.md", "dist/bin.js"]);
});

describe("refused releases", () => {
  const ready = { npmVersion: "11.19.1", changedFiles: "", changesets: [], hasIdentity: true };

  test("a release is allowed when everything is ready", () => expect(findObstacle(ready)).toBeNull());

  test.each([
    [{ npmVersion: "" }, "npm is missing: "],
    [{ npmVersion: "11.5.0" }, "npm 11.5.0 is too old: "],
    [{ npmVersion: "10.9.9" }, "npm 10.9.9 is too old: "],
    [{ changesets: ["client.md"] }, ".changeset has unreleased changes (client.md): "],
    [{ changedFiles: " M a" }, "there are uncommitted changes: "],
    [{ hasIdentity: false }, "this process has no identity for provenance: "],
  ])("a release is refused with the next step when the state has %o", (change, start) => {
    const obstacle = findObstacle({ ...ready, ...change });
    expect(obstacle).toMatch(/^[^\n]+$/);
    expect(obstacle?.startsWith(start)).toBe(true);
  });
});

test("the changelog preview contains the newest section, without commits of the working copy", () => {
  const text = [
    "# sample",
    "## 0.2.0",
    "### Minor Changes",
    "- a5c123a: First.",
    "- Updated dependencies [a5c123a]",
    "- Updated dependencies [b5c123a]",
    "  - other@1.0.0",
    "## 0.1.0",
    "- old",
  ].join("\n");
  expect(latestChanges(text)).toBe("### Minor Changes\n- First.\n- Updated dependencies\n  - other@1.0.0");
});

test("JSR gets the modules of the sources, and dependencies with their registries", () => {
  const published = {
    name: "@letta-environments/client",
    version: "0.1.0",
    license: "Apache-2.0",
    dependencies: { "@letta-environments/schema": "^0.1.0", valibot: "^1.5.0" },
  };
  const sources = { ".": "./src/index.ts", "./openapi.json": "./openapi.json", "./package.json": "./package.json" };
  expect(jsrConfig(published, sources)).toEqual({
    name: "@letta-environments/client",
    version: "0.1.0",
    license: "Apache-2.0",
    exports: { ".": "./src/index.ts" },
    imports: { "@letta-environments/schema": "jsr:@letta-environments/schema@^0.1.0", valibot: "npm:valibot@^1.5.0" },
  });
});

test("licences of bundled code are listed in order of the names, with their texts", () => {
  const listed = formatLicences([
    { name: "ws", version: "8.0.0", license: "MIT", text: "Permission is granted.\n" },
    { name: "jose", version: "6.0.0", license: "MIT", text: null },
  ]);
  expect(listed.indexOf("jose 6.0.0")).toBeLessThan(listed.indexOf("ws 8.0.0"));
  expect(listed).toContain("ws 8.0.0\nLicence: MIT\n\nPermission is granted.\n");
});
