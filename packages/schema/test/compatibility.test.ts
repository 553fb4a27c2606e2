import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { checkValue } from "../src/index.ts";
import { guardedTypes } from "./guarded-types.ts";
import { readFixture } from "./read-fixture.ts";

/** Bodies that must stay valid, with digests of their bytes. Add lines; never change or remove one. */
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

test.each(listed)(
  "the digest %s is still that of the fixture %s, because bodies that were valid must stay valid",
  (digest, name = "") => {
    expect(digestOf(name)).toBe(digest);
  },
);

test("every fixture is in the manifest", () => {
  const present = readdirSync(new URL("./fixtures/", import.meta.url)).filter((name) => name.endsWith(".json"));
  const missing = present.filter((name) => !listed.some(([, other]) => other === name));
  expect(missing.map((name) => `add to MANIFEST.sha256: ${digestOf(name)}  ${name}`)).toEqual([]);
});

/** The type of a fixture by its name. All others are rows. */
const typeOf = new Map([
  ["api-example", "EnvironmentList"],
  ["approval-send", "SendMessageBody"],
  ["approval-with-suggestions-send", "SendMessageBody"],
  ["letta-code-send", "SendMessageBody"],
  ["letta-code-register", "RegisterRequest"],
  ["message-status", "MessageStatus"],
]);

test.each(listed.map(([, name = ""]) => name.replace(".json", "")))(
  "the schema and the guard accept the fixture %s",
  (name) => {
    const type = guardedTypes.find((guarded) => guarded.name === (typeOf.get(name) ?? "Environment"));
    if (type === undefined) throw new Error(`no type for ${name}`);
    const body = readFixture(name);
    expect(checkValue(type.schema, body, "body")).toEqual({ ok: true, value: body });
    expect(type.findMismatch(body)).toBeNull();
  },
);
