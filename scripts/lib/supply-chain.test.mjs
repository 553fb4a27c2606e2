import { describe, expect, test } from "vitest";
import { findLicenceProblems, findSettingProblems, findUnpinned } from "./supply-chain.mjs";

const hash = `sha512-${"A".repeat(86)}==`;

test("a licence with conditions for the code around it is refused by name and version; a choice is allowed if one side is", () => {
  const packages = [{ name: "x", versions: ["1.0.0"] }];
  expect(findLicenceProblems({ MIT: packages, "(MIT OR GPL-3.0)": packages, "MIT AND ISC": packages })).toEqual([]);
  for (const licence of ["GPL-3.0", "MIT AND GPL-3.0", "Unknown", "SEE LICENSE IN LICENSE"]) {
    expect(findLicenceProblems({ [licence]: packages })).toEqual([
      expect.stringContaining(`x 1.0.0: licence ${licence}`),
    ]);
  }
});

test("an entry of a lockfile without a SHA-512 hash, or from anywhere but the registry, is named by its line", () => {
  const text = (/** @type {string} */ resolution) => `packages:\n  a@1.0.0:\n    resolution: {${resolution}}\n`;
  expect(findUnpinned(text(`integrity: ${hash}`), "lock")).toEqual([]);
  expect(findUnpinned(text("integrity: sha1-abc="), "lock")).toEqual([expect.stringMatching(/^lock:3: /)]);
  expect(findUnpinned(text(`integrity: ${hash}, tarball: https://example.com/a.tgz`), "lock")).toHaveLength(1);
  expect(findUnpinned(text("commit: abc, repo: https://example.com/a.git, type: git"), "lock")).toHaveLength(1);
});

describe("settings of a workspace", () => {
  const settings = (/** @type {string} */ builds, age = 4_320) =>
    `minimumReleaseAge: ${age}\nblockExoticSubdeps: true\nallowBuilds:\n${builds}\ncatalog:\n  a: 1.0.0\n`;

  test("each package that may run install scripts needs a comment with the reason", () => {
    expect(findSettingProblems(settings("  # Puts its program in place.\n  bun: true\n"), "w")).toEqual([]);
    expect(findSettingProblems(settings("  # Why.\n  bun: true\n  deno: true\n"), "w")).toEqual([
      "w: allowBuilds: deno needs a comment above it that says why",
    ]);
  });

  test("a minimum release age below three days, and exceptions to it, are refused", () => {
    expect(findSettingProblems(settings("", 0), "w")).toEqual([expect.stringContaining("at least 4320")]);
    expect(findSettingProblems(`${settings("")}minimumReleaseAgeExclude:\n  - a\n`, "w")).toHaveLength(1);
  });
});
