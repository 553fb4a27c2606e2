import { describe, expect, test } from "vitest";
import { allow, decide, payloads } from "./support/decisions.ts";
import { createHarness, type Harness } from "./support/harness.ts";

const replayed = { "idempotency-replayed": "true" };

/** Makes outcomes impossible to store, such as on a full disk. The returned function ends that. */
function failSettling({ store }: Harness): () => void {
  const { settle } = store;
  Object.assign(store, { settle: () => Promise.reject(new Error("disk full")) });
  return () => void Object.assign(store, { settle });
}

describe("outcomes that could not be stored", () => {
  const results = [
    { name: "an acceptance", result: { accepted: true }, status: 200, before: 0, after: 0 },
    { name: "a rejection", result: { accepted: false, error: "full" }, status: 409, before: 0, after: 0 },
    { name: "a late acceptance", result: { accepted: true }, status: 200, before: 0, after: 10_000 },
    { name: "one behind a stored timeout", result: { accepted: true }, status: 200, before: 10_000, after: 0 },
  ];

  test.each(results)(
    "an outcome that could not be stored is returned to repeats, and stored as soon as the store works again: $name",
    async (given) => {
      const harness = createHarness();
      const { connectionId, socket } = await harness.connect("device-1");
      const sent = harness.send(connectionId);
      await harness.settle();
      await harness.clock.advance(given.before);
      const endFailure = failSettling(harness);
      await harness.clock.advance(given.after);
      const isLate = given.before + given.after > 0;
      socket.acknowledge(given.result);
      const { status } = await sent;
      expect(status).toBe(isLate ? 504 : given.status);
      await harness.settle();
      for (let repeat = 0; repeat < 2; repeat++) {
        expect(await harness.send(connectionId)).toMatchObject({ status: given.status, headers: replayed });
        await harness.clock.advance(5_000);
      }
      endFailure();
      expect(await harness.send(connectionId)).toMatchObject({ status: given.status, headers: replayed });
      await harness.clock.advance(1_000);
      const restarted = createHarness({ store: harness.store, clock: harness.clock });
      expect(await restarted.send(connectionId)).toMatchObject({ status: given.status, headers: replayed });
      const acknowledged = harness.events.filter(({ type }) => type === "message_acknowledged");
      expect(acknowledged).toMatchObject([{ late: isLate }]);
      expect(socket.inputs()).toHaveLength(1);
    },
  );

  test("an outcome that could not be stored is stored when the server closes, if that works then", async () => {
    const harness = createHarness();
    const { connectionId, socket } = await harness.connect("device-1");
    const sent = harness.send(connectionId);
    await harness.settle();
    const endFailure = failSettling(harness);
    socket.acknowledge();
    expect((await sent).status).toBe(200);
    endFailure();
    await harness.server.close();
    const restarted = createHarness({ store: harness.store, clock: harness.clock });
    expect(await restarted.send(connectionId)).toMatchObject({ status: 200, headers: replayed });
  });
});

test("a repeat receives a late outcome only once it is stored, or could not be stored", async () => {
  const harness = createHarness();
  const { connectionId, socket } = await harness.connect("device-1");
  const sent = harness.send(connectionId);
  await harness.clock.advance(10_000);
  expect((await sent).status).toBe(504);
  const { settle } = harness.store;
  const { promise: held, resolve: release } = Promise.withResolvers<void>();
  const slow: typeof settle = async (...values) => {
    await held;
    return settle(...values);
  };
  Object.assign(harness.store, { settle: slow });
  socket.acknowledge();
  const repeats: number[] = [];
  const repeat = harness.send(connectionId).then(({ status }) => repeats.push(status));
  await harness.settle();
  expect(repeats).toEqual([]);
  release();
  await repeat;
  const restarted = createHarness({ store: { ...harness.store, settle }, clock: harness.clock });
  expect([...repeats, (await restarted.send(connectionId)).status]).toEqual([200, 200]);
});

describe("several outcomes that could not be stored", () => {
  /** Sends that are acknowledged while nothing can be stored. Then only the first one cannot be stored; `storing` delays the others. */
  async function sendThree(storing: Promise<void> = Promise.resolve()) {
    const harness = createHarness();
    const all = await Promise.all(["device-1", "device-2", "device-3"].map((name) => harness.connect(name)));
    const sends = all.map(({ connectionId }) => harness.send(connectionId));
    await harness.settle();
    const { settle } = harness.store;
    const attempts: string[] = [];
    const stored: string[] = [];
    let failing: string | null = null;
    Object.assign(harness.store, {
      settle: async (...values: Parameters<typeof settle>) => {
        attempts.push(values[0]);
        if (failing === null || values[0] === failing) throw new Error("disk full");
        await storing;
        stored.push(values[0]);
        return settle(...values);
      },
    });
    for (const { socket } of all) socket.acknowledge();
    await Promise.all(sends);
    failing = attempts[0] ?? "";
    const others = attempts.slice(1, 3);
    return { harness, attempts, stored, failing, others };
  }

  test("outcomes that could not be stored are stored once each, even when one of them fails again and again", async () => {
    const { harness, attempts, stored, failing, others } = await sendThree();
    attempts.length = 0;
    await harness.clock.advance(3_000);
    expect(stored).toEqual(others);
    expect(attempts).toEqual([failing, ...others, failing, failing]);
  });

  test("closing the server stores or tries to store every unsaved outcome, even if one of them fails immediately", async () => {
    const { promise: storing, resolve: end } = Promise.withResolvers<void>();
    const { harness, stored, others } = await sendThree(storing);
    const closed = harness.server.close().then(() => [...stored]);
    await harness.settle();
    end();
    expect(await closed).toEqual(others);
  });
});

test("ids that a late rejection of a decision has released stay free, although an earlier outcome of it waits to be stored", async () => {
  const harness = createHarness();
  const { connectionId, socket } = await harness.connect("device-1");
  socket.ask("call-1");
  const endFailure = failSettling(harness);
  const sent = decide(harness, connectionId, [allow]);
  await harness.clock.advance(10_000);
  expect((await sent).status).toBe(504);
  socket.acknowledge({ accepted: false, error: "no" });
  socket.ask("call-1");
  await harness.settle();
  const again = decide(harness, connectionId, [allow]);
  await harness.settle();
  endFailure();
  await harness.clock.advance(3_000);
  expect(payloads(socket)).toHaveLength(2);
  socket.acknowledge();
  expect((await again).status).toBe(200);
  expect(await decide(harness, connectionId, [allow])).toMatchObject({ status: 200, headers: replayed });
});
