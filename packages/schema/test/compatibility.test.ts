import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";

/** Bodies that were valid once, with digests of their bytes: lines are added, never changed or taken away. */
const manifest = new URL("./fixtures/MANIFEST.sha256", import.meta.url);

function digestOf(name: string): string {
  return createHash("sha256")
    .update(readFileSync(new URL(`./fixtures/${name}`, import.meta.url)))
    .digest("hex");
}

const listed = readFileSync(manifest, "utf8")
  .trim()
  .split("\n")
  .map((line) => line.split("  "));

test.each(listed)("%s is still the fixture %s, since bodies that were valid must stay valid", (digest, name = "") => {
  expect(digestOf(name)).toBe(digest);
});

test("every fixture is in the manifest", () => {
  const present = readdirSync(new URL("./fixtures/", import.meta.url)).filter((name) => name.endsWith(".json"));
  const missing = present.filter((name) => !listed.some(([, other]) => other === name));
  expect(missing.map((name) => `add to MANIFEST.sha256: ${digestOf(name)}  ${name}`)).toEqual([]);
});
