import { expect, test } from "vitest";
import { isOnline, onlineWindowMs } from "./presence.ts";

const now = 1_795_000_000_000;

test.each([
  ["a fresh heartbeat", { connectionId: "c-1", lastHeartbeat: now }, true],
  ["a heartbeat from a clock that runs ahead", { connectionId: "c-1", lastHeartbeat: now + 5_000 }, true],
  ["a heartbeat just inside the window", { connectionId: "c-1", lastHeartbeat: now - onlineWindowMs + 1 }, true],
  ["a heartbeat of exactly 120 s ago", { connectionId: "c-1", lastHeartbeat: now - onlineWindowMs }, false],
  ["no connection", { connectionId: null, lastHeartbeat: now }, false],
  ["an empty connection id", { connectionId: "", lastHeartbeat: now }, false],
  ["no heartbeat", { connectionId: "c-1", lastHeartbeat: null }, false],
])("isOnline is decided with %s", (_case, environment, online) => {
  expect(isOnline(environment, now)).toBe(online);
});
