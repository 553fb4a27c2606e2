import { parseCommandLine } from "@letta-environments/command-line";
import { expect, test } from "vitest";
import { findDoubtfulDeviceIds, readKeyPatch, readKeyRequest } from "./key-options.ts";
import { program } from "./program.ts";

const now = 1_800_000_000_000;
const policies = ["gateway-requests", "gateway-sends"];

function optionsOf(...words: string[]): ReadonlyMap<string, readonly string[]> {
  const line = parseCommandLine(program, words);
  if (line.kind !== "run") throw new Error(line.kind);
  return line.parsed.options;
}

const read = (...words: string[]) => readKeyRequest(optionsOf("keys", "create", ...words), now, policies);
const patch = (...words: string[]) => readKeyPatch(optionsOf("keys", "update", "ID", ...words), now, policies);

test("a key has the scopes list and read by default", () => {
  expect(read("--name", "n")).toEqual({
    name: "n",
    tenant: "default",
    scopes: ["list", "read"],
    shared: false,
    rateLimits: null,
    expiresAt: null,
  });
});

test("every option becomes a member of the key", () => {
  const words =
    "--name n --tenant t --scope send --scope list --scope send --device a --device b --device a --expires 1h --shared " +
    "--description why --owner ada --device-name lab-* --device-name lab-* --agent agent-1 --max-mode acceptEdits --rate-limit gateway-sends=10/1m/20 --rate-limit gateway-requests=none";
  expect(read(...words.split(" "))).toEqual({
    name: "n",
    tenant: "t",
    scopes: ["list", "send"],
    description: "why",
    owner: "ada",
    deviceIds: ["a", "b"],
    connectionNames: ["lab-*"],
    agentIds: ["agent-1"],
    rateLimits: { "gateway-sends": "10/1m/20", "gateway-requests": "none" },
    maxMode: "acceptEdits",
    shared: true,
    expiresAt: now + 3_600_000,
  });
});

test.each([
  [[], "--name"],
  [["--name", " "], "--name"],
  [["--name", "a\u0007b"], "--name"],
  [["--name", "x".repeat(129)], "--name"],
  [["--name", "n", "--tenant", "../x"], "--tenant"],
  [["--name", "n", "--scope", "root"], "--scope"],
  [["--name", "n", "--device", ".."], "--device"],
  [["--name", "n", "--description", "a\u0007b"], "--description"],
  [["--name", "n", "--device-name", " "], "--device-name"],
  [["--name", "n", "--agent", "a\u0007b"], "--agent"],
  [["--name", "n", "--max-mode", "free"], "--max-mode"],
  [["--name", "n", "--expires", "soon"], "--expires"],
  [["--name", "n", "--expires", "0s"], "--expires"],
])("%j is refused by naming %s", (words, option) => {
  expect(() => read(...words)).toThrow(option);
});

test.each([
  ["2w", now + 14 * 86_400_000],
  ["2027-03-01", Date.UTC(2027, 2, 1)],
  ["2027-03-01T18:00:00+02:00", Date.UTC(2027, 2, 1, 16)],
  ["never", null],
])("--expires %s is accepted", (text, expiresAt) => {
  expect(read("--name", "n", "--expires", text).expiresAt).toBe(expiresAt);
});

test("an invalid --expires is refused with the accepted forms", () => {
  expect(() => read("--name", "n", "--expires", "soon")).toThrow(
    "--expires must be a duration such as 30d, 12h or 2w, a date such as 2027-01-31, or a date and time such as 2027-01-31T18:00:00Z, or never",
  );
  expect(() => read("--name", "n", "--expires", "2020-01-01")).toThrow("--expires must be in the future");
});

test("a rate limit of an unknown policy is refused with the known ones, unless those cannot be known", () => {
  expect(() => read("--name", "n", "--rate-limit", "gateway-send=10/1m")).toThrow(
    "--rate-limit must name a policy that a key can override, not gateway-send (did you mean gateway-sends?): gateway-requests, gateway-sends",
  );
  expect(() => patch("--rate-limit", "nope=none")).toThrow("override, not nope:");
  expect(patch("--rate-limit", "nope=default").rateLimits).toEqual({ nope: null });
  expect(patch("--rate-limit", "gateway-sends=10/1w").rateLimits).toEqual({ "gateway-sends": "10/1w" });
  const words = optionsOf("keys", "create", "--name", "n", "--rate-limit", "nope=none");
  expect(readKeyRequest(words, now, null).rateLimits).toEqual({ nope: "none" });
  expect(() => read("--name", "n", "--rate-limit", "gateway-sends=often")).toThrow("--rate-limit must be LIMIT/WINDOW");
});

test("an update changes the named members only, and --clear removes them", () => {
  const words =
    "--name m --scope send --device-name lab-* --rate-limit gateway-sends=default --rate-limit gateway-requests=5/1m --expires 1h --clear device --clear max-mode";
  expect(patch(...words.split(" "))).toEqual({
    name: "m",
    scopes: ["send"],
    connectionNames: ["lab-*"],
    rateLimits: { "gateway-sends": null, "gateway-requests": "5/1m" },
    expiresAt: now + 3_600_000,
    deviceIds: null,
    maxMode: null,
  });
  expect(patch("--clear", "rate-limit", "--clear", "expires")).toEqual({ rateLimits: null, expiresAt: null });
});

test.each([
  [[], "nothing to change"],
  [["--clear", "name"], "--clear must be one of description, owner, device"],
  [["--clear", "agent", "--agent", "a"], "--agent and --clear agent cannot be used together"],
  [["--name", " "], "--name must be"],
  [["--max-mode", "free"], "--max-mode"],
])("an update with %j is refused", (words, reason) => {
  expect(() => patch(...words)).toThrow(reason);
});

test("a --device that is not a UUID causes a warning, because it may be a name", () => {
  const id = "88fd30f6-6337-4c38-b858-2f1581703994";
  const options = optionsOf("keys", "create", "--name", "n", "--device", id, "--device", "my-laptop");
  expect(findDoubtfulDeviceIds(options)).toEqual(["my-laptop"]);
});
