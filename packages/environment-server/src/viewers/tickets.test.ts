import { createVirtualClock } from "@letta-environments/testkit";
import { expect, test } from "vitest";
import { anyone, createCountingId } from "../../test/support/harness.ts";
import { maxTickets, maxTicketsPerKey, ticketLifetimeMs } from "../limits.ts";
import { createViewerTickets } from "./tickets.ts";

test("a ticket authenticates its principal once, for its connection, within 60 seconds", async () => {
  const clock = createVirtualClock();
  const tickets = createViewerTickets(clock, createCountingId());
  const [first, second, third, fourth] = [1, 2, 3, 4].map(() => tickets.issue(anyone, "conn-1") ?? "");
  expect(tickets.redeem(first ?? "", "conn-1")).toBe(anyone);
  expect(tickets.redeem(first ?? "", "conn-1")).toBeNull();
  expect(tickets.redeem(second ?? "", "conn-2")).toBeNull();
  // An attempt on another connection also invalidates it.
  expect(tickets.redeem(second ?? "", "conn-1")).toBeNull();
  await clock.advance(ticketLifetimeMs - 1);
  expect(tickets.redeem(third ?? "", "conn-1")).toBe(anyone);
  await clock.advance(1);
  expect(tickets.redeem(fourth ?? "", "conn-1")).toBeNull();
  expect(tickets.redeem("ticket-", "conn-1")).toBeNull();
});

test("a key has a limited number of unused tickets", async () => {
  const clock = createVirtualClock();
  const tickets = createViewerTickets(clock, createCountingId());
  const issued = Array.from({ length: maxTicketsPerKey + 1 }, () => tickets.issue(anyone, "conn-1"));
  expect(issued.filter((ticket) => ticket === null)).toHaveLength(1);
  expect(tickets.issue({ ...anyone, keyId: "key-2" }, "conn-1")).not.toBeNull();
  await clock.advance(ticketLifetimeMs);
  expect(tickets.issue(anyone, "conn-1")).not.toBeNull();
});

test("a tenant with all the tickets keeps no other tenant from opening a viewer: it loses its oldest ones", () => {
  const tickets = createViewerTickets(createVirtualClock(), createCountingId());
  const victim = { ...anyone, tenant: "victim" };
  const first = tickets.issue(victim, "conn-1") ?? "";
  const issued = Array.from({ length: maxTickets }, (_, count) =>
    tickets.issue({ ...anyone, keyId: `key-${Math.floor(count / maxTicketsPerKey)}` }, "conn-1"),
  );
  const second = tickets.issue(victim, "conn-1") ?? "";
  expect([first, second].map((ticket) => tickets.redeem(ticket, "conn-1"))).toEqual([victim, victim]);
  const redeemed = issued.map((ticket) => tickets.redeem(ticket ?? "", "conn-1"));
  expect(redeemed.indexOf(null)).toBe(0);
  expect(redeemed.filter((principal) => principal === null)).toHaveLength(2);
});
