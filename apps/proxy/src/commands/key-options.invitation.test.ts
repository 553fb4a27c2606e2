import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { deviceVersion } from "../version.ts";
import { readInvitation } from "./key-options.ts";

const nowMs = 1_795_000_000_000;

function read(options: Record<string, readonly string[]>) {
  return readInvitation(new Map(Object.entries(options)), nowMs);
}

describe("the options of devices invite", () => {
  test("the options of devices invite become a connect key that ends in an hour unless a device uses it", () => {
    expect(read({})).toEqual({
      name: null,
      request: {
        name: "invitation",
        tenant: "default",
        scopes: ["connect"],
        invite: { expiresAt: nowMs + 3_600_000, tags: [] },
      },
    });
    expect(read({ name: ["box"], tag: ["linux", "ci", "ci"], expires: ["10m"], tenant: ["acme"] })).toMatchObject({
      name: "box",
      request: { name: "box", tenant: "acme", invite: { expiresAt: nowMs + 600_000, tags: ["ci", "linux"] } },
    });
  });

  test.each([
    [{ tag: ["a b"] }, "--tag must be 1 to 64 characters from A-Z a-z 0-9 . _ : - and begin with a letter or a digit"],
    [{ expires: ["soon"] }, /^--expires must be a duration such as 30d/],
    [{ expires: ["2020-01-01"] }, "--expires must be in the future, and at most a hundred years ahead"],
    [{ expires: ["never"] }, /^--expires must be a duration/],
    [{ name: [""] }, "--name must be 1 to 128 characters without control characters"],
    [{ tenant: ["a/b"] }, /^--tenant /],
  ])("devices invite refuses %j with an explanation", (options, rule) => {
    expect(() => read(options)).toThrow(rule);
  });
});

test("invitations name the version of Letta Code that this repository tests", () => {
  const catalog = readFileSync(new URL("../../../../pnpm-workspace.yaml", import.meta.url), "utf8");
  expect(catalog).toContain(`letta-code": ${deviceVersion}\n`);
});
