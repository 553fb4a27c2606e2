import { EventEmitter } from "node:events";
import { expect, test } from "vitest";
import { createRequestCount } from "./drain.ts";

test("a request counts until its response closes", () => {
  const count = createRequestCount();
  const [socket, first, second] = [new EventEmitter(), new EventEmitter(), new EventEmitter()];
  count.begin({ socket }, first);
  count.begin({ socket }, second);
  expect(count.value).toBe(2);
  first.emit("close");
  expect(count.value).toBe(1);
  second.emit("close");
  expect(count.value).toBe(0);
});

test("requests whose responses never close end with their connection, and count once", () => {
  let ends = 0;
  const count = createRequestCount(() => (ends += 1));
  const [lost, kept] = [new EventEmitter(), new EventEmitter()];
  const waiting = [new EventEmitter(), new EventEmitter(), new EventEmitter()];
  for (const outgoing of waiting) count.begin({ socket: lost }, outgoing);
  count.begin({ socket: kept }, new EventEmitter());
  lost.emit("close");
  expect([count.value, ends]).toEqual([1, 1]);
  for (const outgoing of waiting) outgoing.emit("close");
  expect([count.value, ends]).toEqual([1, 1]);
});

test("a connection has one listener, however many requests it carries", () => {
  const count = createRequestCount();
  const socket = new EventEmitter();
  for (let index = 0; index < 100; index++) {
    const outgoing = new EventEmitter();
    count.begin({ socket }, outgoing);
    outgoing.emit("close");
  }
  expect([count.value, socket.listenerCount("close")]).toEqual([0, 1]);
});
