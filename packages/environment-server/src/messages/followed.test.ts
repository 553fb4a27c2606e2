import { expect, test } from "vitest";
import type { MessageState } from "../message-log.ts";
import { createFollowedSends, type FollowedSend } from "./followed.ts";
import { receivedStatus } from "./state-machine.ts";

const send = (tenant: string, state: MessageState = "running"): FollowedSend & { status: FollowedSend["status"] } => ({
  tenant,
  status: { ...receivedStatus, state },
});

test("a tenant with too many sends loses its own, those with an unknown state first, the oldest first", () => {
  const followed = createFollowedSends<FollowedSend>(4);
  const [other, first, lost, lostLater, second] = [
    send("other"),
    send("acme"),
    send("acme", "unknown"),
    send("acme", "unknown"),
    send("acme"),
  ];
  for (const each of [other, first, lost, lostLater]) followed.set(each);
  expect(followed.excess()).toBeUndefined();
  followed.set(second);
  for (const expected of [lost, lostLater, first, second]) {
    expect(followed.excess()).toBe(expected);
    followed.delete(expected);
    expect(followed.excess()).toBeUndefined();
    followed.set(send("acme"));
  }
});

test("a send whose state becomes known again becomes the newest of the known ones, and counts once", () => {
  const followed = createFollowedSends<FollowedSend>(1);
  const [back, known] = [send("acme", "unknown"), send("acme")];
  followed.set(back);
  followed.set(known);
  expect(followed.excess()).toBe(back);
  back.status = { ...back.status, state: "running" };
  followed.set(back);
  expect(followed.excess()).toBe(known);
  for (const twice of [known, known]) followed.delete(twice);
  expect(followed.excess()).toBeUndefined();
});
