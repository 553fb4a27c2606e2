import { expect, test } from "vitest";
import { parseCommand } from "./parse-command.ts";
import { readKeyRequest } from "./read-key-request.ts";

const now = 1_800_000_000_000;

function read(...words: string[]): ReturnType<typeof readKeyRequest> {
  const line = parseCommand(["keys", "create", ...words]);
  if (line.kind !== "run") throw new Error(line.kind);
  return readKeyRequest(line.parsed, now);
}

test("a key may list and read unless told otherwise", () => {
  expect(read("--name", "n")).toEqual({
    ok: true,
    value: {
      name: "n",
      tenant: "default",
      scopes: ["list", "read"],
      shared: false,
      rateLimits: null,
      expiresAt: null,
    },
  });
});

test("every option is taken", () => {
  const words =
    "--name n --tenant t --scope send --scope list --scope send --device a --device b --device a --expires 1h --shared " +
    "--description why --owner ada --device-name lab-* --device-name lab-* --agent agent-1 --max-mode acceptEdits --rate-limit gateway-sends=10/1m/20 --rate-limit gateway-requests=none";
  expect(read(...words.split(" "))).toEqual({
    ok: true,
    value: {
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
    },
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
  expect(read(...words)).toMatchObject({ ok: false, reason: expect.stringContaining(option) });
});
