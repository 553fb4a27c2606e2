import { describe, expect, test } from "vitest";
import {
  checkValue,
  EnvironmentListSchema,
  EnvironmentSchema,
  isOnline,
  SendMessageResponseSchema,
} from "../src/index.ts";
import { readFixture, withMember } from "./read-fixture.ts";

describe("responses of newer servers", () => {
  test("checkValue accepts the example in the API text", () => {
    const body = readFixture("api-example");
    expect(checkValue(EnvironmentListSchema, body, "body")).toEqual({ ok: true, value: body });
  });

  test.each(["offline-device", "letta-code-row", "future-row"])(
    "checkValue accepts a response with new members, and keeps them: %s",
    (name) => {
      const row = readFixture(name);
      expect(checkValue(EnvironmentSchema, row, "body")).toEqual({ ok: true, value: row });
    },
  );

  test("checkValue accepts a list with a row in a newer mode", () => {
    const list = { connections: [readFixture("future-row"), readFixture("letta-code-row")], hasNextPage: false };
    expect(checkValue(EnvironmentListSchema, list, "body")).toEqual({ ok: true, value: list });
  });

  test("isOnline is false for an offline row and true for a recent heartbeat", () => {
    const offline = checkValue(EnvironmentSchema, readFixture("offline-device"), "body");
    const online = checkValue(EnvironmentSchema, readFixture("letta-code-row"), "body");
    if (!offline.ok || !online.ok) throw new Error("fixtures must be readable");
    expect(isOnline(offline.value, 1_795_000_031_000)).toBe(false);
    expect(isOnline(online.value, 1_795_000_031_000)).toBe(true);
  });
});

describe("wrong responses", () => {
  const row = readFixture("letta-code-row");

  test.each([
    [["connectionId"], 5, "connectionId", "must be a string"],
    [["connectedAt"], "soon", "connectedAt", "must be a number"],
    [["id"], null, "id", "must be a string"],
    [["apiKeyOwner"], null, "apiKeyOwner", "must be a string"],
    [["currentMode"], 7, "currentMode", "must be a string"],
    [["metadata"], [], "metadata", "must be an object"],
    [["metadata"], "linux", "metadata", "must be an object"],
    [["metadata", "self_update"], [], "metadata.self_update", "must be an object"],
    [["metadata", "supported_commands", 1], {}, "metadata.supported_commands[1]", "must be a string"],
  ])("checkValue refuses a row with %j = %j and names the member", (path, value, member, rule) => {
    const checked = checkValue(EnvironmentSchema, withMember(row, path, value), "body");
    expect(checked.ok ? [] : checked.issues).toContainEqual({ member, rule });
  });

  test.each([
    [[]],
    [null],
    ["<html>"],
    [{ connections: {}, hasNextPage: true }],
    [{ connections: [[]], hasNextPage: true }],
  ])("checkValue refuses the list %j and names the member", (body) => {
    expect(checkValue(EnvironmentListSchema, body, "body").ok).toBe(false);
  });

  test("checkValue refuses the response to a send without success", () => {
    expect(checkValue(SendMessageResponseSchema, { message: "ok" }, "body")).toEqual({
      ok: false,
      issues: [{ member: "success", rule: "is required" }],
    });
  });
});
