import { expect, test } from "vitest";
import { findMismatch } from "./find-mismatch.ts";
import { findEnvironmentListMismatch, findSendMessageBodyMismatch, isEnvironmentList } from "./guards.gen.ts";

const body = { messages: [{ role: "user", content: "hello", client_message_id: "m-1" }] };

test("an accepted value is read only once, by the guard", () => {
  let reads = 0;
  const value = new Proxy(
    { connections: [], hasNextPage: false },
    {
      get(target, name) {
        reads += 1;
        return Reflect.get(target, name);
      },
    },
  );
  expect(findMismatch(isEnvironmentList, value)).toBeNull();
  expect(reads).toBe(2);
});

test("findMismatch finds the path in a frozen value with frozen members", () => {
  const frozen = Object.freeze({ messages: Object.freeze([Object.freeze({ ...body.messages[0], role: "robot" })]) });
  expect(findSendMessageBodyMismatch(frozen)).toBe("messages[0].role");
});

test.each([
  ["", null],
  ["", []],
  ["connections", {}],
  ["connections", { connections: "none", hasNextPage: false }],
  ["connections[0]", { connections: [[]], hasNextPage: false }],
  ["connections[0].id", { connections: [{}], hasNextPage: false }],
  ["hasNextPage", { connections: [] }],
])("findMismatch returns the path %j for %j", (path, value) => {
  expect(findEnvironmentListMismatch(value)).toBe(path);
});

test.each([
  ["messages", { messages: [] }],
  ["messages[1]", { messages: [body.messages[0], []] }],
  ["messages[0].content", { messages: [{ ...body.messages[0], content: 7 }] }],
])("findMismatch returns the path %j for the body %j", (path, value) => {
  expect(findSendMessageBodyMismatch(value)).toBe(path);
});
