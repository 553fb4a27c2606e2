/** The tables of docs/configuration.md are complete. */
import { expect, test } from "vitest";
import { liveSettings } from "../../src/config/reload.ts";
import { readDocument, sectionOf, tableRows } from "./document.ts";

test("the guide names every setting that takes effect without a restart", () => {
  const section = sectionOf(readDocument("docs/configuration.md"), "Changes without a restart");
  const [[atOnce = ""] = []] = tableRows(section);
  // A name may begin where the one before it ends, as in `upstream.url`, `.timeoutMs`.
  const isNamed = (name: string): boolean =>
    [name, name.replace(/^[^.]+/, "")].some((each) => atOnce.includes(`\`${each}\``));
  expect(liveSettings.filter((name) => !isNamed(name))).toEqual([]);
});
