/** The lists of docs/configuration.md and docs/administration.md are complete. */
import * as v from "valibot";
import { expect, test } from "vitest";
import { liveSettings } from "../../src/config/reload.ts";
import { KeyPatchSchema, RequestedKeySchema } from "../../src/keys/key-schemas.ts";
import { readDocument, sectionOf, tableRows } from "./document.ts";

test("the guide names every setting that takes effect without a restart", () => {
  const section = sectionOf(readDocument("docs/configuration.md"), "Changes without a restart");
  const [[atOnce = ""] = []] = tableRows(section);
  // A name may begin where the one before it ends, as in `upstream.url`, `.timeoutMs`.
  const isNamed = (name: string): boolean =>
    [name, name.replace(/^[^.]+/, "")].some((each) => atOnce.includes(`\`${each}\``));
  expect(liveSettings.filter((name) => !isNamed(name))).toEqual([]);
});

test.each([
  ["A new key", RequestedKeySchema],
  ["A change", KeyPatchSchema],
])("the guide names every member of a key that a request may have: %s", (paragraph, schema) => {
  const document = readDocument("docs/administration.md");
  const textOf = (start: string): string =>
    document.split("\n\n").find((text) => text.startsWith(`**${start}**`)) ?? "";
  const namesIn = (text: string): Set<string> =>
    new Set([...text.matchAll(/`([a-zA-Z]+)`/g)].map(([, name = ""]) => name));
  // Unknown members are reported beside the name, so the others are those that the request may have.
  const known = [...namesIn(textOf("A key's record")), "disabled"];
  const { issues = [] } = v.safeParse(schema, Object.fromEntries(known.map((name) => [name, {}])));
  const unknown = new Set(issues.filter(({ type }) => type === "raw_check").map((issue) => v.getDotPath(issue)));
  const allowed = known.filter((name) => !unknown.has(name));
  const listed = known.filter((name) => namesIn(textOf(paragraph)).has(name));
  expect(listed).toEqual(allowed);
});
