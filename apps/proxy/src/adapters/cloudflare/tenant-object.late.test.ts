/** Reservations that reach the object of a tenant after their isolate has given up: each call has its own stub, and calls of two stubs have no order. */
import { createVirtualClock } from "@letta-environments/testkit";
import { expect, test, vi } from "vitest";
import { createFakeContext, workersModule } from "../../../test/cloudflare/fake-isolate.ts";
import { createTestSender } from "../../../test/support/test-sender.ts";
import { createSends, type Sends, type SendRunResult } from "../../idempotency/sends.ts";
import { createTenantCalls } from "./tenant-calls.ts";
import type { TenantObjectStub } from "./tenant-object.ts";

vi.mock("cloudflare:workers", () => workersModule);
const { TenantObject } = await import("./tenant-object.ts");

test("a send that delivered nothing can be repeated in another isolate, however late its reservation arrives", async () => {
  const clock = createVirtualClock();
  const object = new TenantObject(createFakeContext(), { KEY_PEPPER: "p" }, { clock, capacity: 10 });
  const sender = createTestSender(clock);
  const work: Promise<unknown>[] = [];
  const background = (given: Promise<unknown>): void => void work.push(given);
  const { promise: arrival, resolve: arrive } = Promise.withResolvers<void>();

  const stub: TenantObjectStub = {
    take: async (...values) => object.take(...values),
    reserve: (...values) => object.reserve(...values),
    find: (...values) => object.find(...values),
    findConnection: (...values) => object.findConnection(...values),
    conclude: (end) => object.conclude(end),
  };
  const late: Promise<unknown>[] = [];
  const slowStub: TenantObjectStub = {
    ...stub,
    reserve(...values) {
      const reserving = arrival.then(() => object.reserve(...values));
      late.push(reserving);
      return reserving;
    },
  };

  function isolate(objectOf: () => TenantObjectStub): Sends {
    const { sends: store } = createTenantCalls({ objectOf, clock, background });
    return createSends({ store, clock, background, onFailure: () => undefined });
  }

  async function send(gateway: Sends, sendId: string): Promise<SendRunResult> {
    const sending = sender.send(gateway, sendId);
    await clock.advance(31_000);
    return sending;
  }

  const slow = isolate(() => slowStub);
  expect(await send(slow, "given up")).toMatchObject({ kind: "responded", response: { status: 503 } });
  await Promise.all(work);
  arrive();
  await Promise.allSettled(late);
  expect(
    await send(
      isolate(() => stub),
      "repeat",
    ),
  ).toMatchObject({ kind: "responded", response: { status: 200 } });
  expect(await send(slow, "another repeat")).toMatchObject({ kind: "replayed", response: { status: 200 } });
  expect(sender.transmissions()).toBe(1);
});
