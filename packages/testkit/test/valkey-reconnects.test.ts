/** Connections to Valkey that are lost, and those to a server that becomes a replica. */
import { setImmediate } from "node:timers/promises";
import type { ValkeyConnection } from "@letta-environments/platform";
import { describe, expect, test, vi } from "vitest";
import { canLaunchValkey } from "../src/index.ts";
import {
  closeAfterEachTest,
  connect,
  createMovableAddress,
  failureOf,
  launch,
  tell,
  untilResponding,
} from "./support/use-valkey.ts";

closeAfterEachTest();

/** The deepest cause of a failure, which says what the connection met. */
function reasonOf(failure: Error): string {
  return failure.cause instanceof Error ? reasonOf(failure.cause) : failure.message;
}

describe.skipIf(!canLaunchValkey())("connections to Valkey that are lost", () => {
  test("commands wait for the next connection after a connection loss, and none is refused", async () => {
    const address = await createMovableAddress((await launch()).port);
    const { valkey, failures } = connect(address.url);
    await valkey.command(["SET", "count", 0]);
    for (let round = 1; round <= 3; round++) {
      address.cut();
      await vi.waitFor(() => expect(failures).toHaveLength(round));
      const replies = await Promise.all(Array.from({ length: 5 }, () => valkey.command(["INCR", "count"])));
      expect(replies.map(Number).toSorted((one, other) => one - other)).toEqual(
        Array.from({ length: 5 }, (_, index) => (round - 1) * 5 + index + 1),
      );
      expect(address.connected).toBe(round + 1);
    }
  });

  test("a command on a connection that the server has closed waits for the next one", async () => {
    const address = await createMovableAddress((await launch()).port);
    const { valkey } = connect(address.url);
    await valkey.command(["PING"]);
    address.cut();
    const reasons = new Set<string>();
    // One of these meets the short time between the end that the server sends and the close of the socket.
    while (address.connected < 2) {
      await valkey.command(["PING"]).catch((failure: Error) => reasons.add(reasonOf(failure)));
      await setImmediate();
    }
    expect([...reasons].filter((reason) => /writeable|no connection/.test(reason))).toEqual([]);
  });

  test("a command waits for the next connection even if the process was suspended since the loss", async () => {
    const address = await createMovableAddress((await launch()).port);
    const { valkey, failures } = connect(address.url);
    await valkey.command(["PING"]);
    address.cut();
    await vi.waitFor(() => expect(failures).toHaveLength(1));
    const real = performance.now.bind(performance);
    const later = vi.spyOn(performance, "now").mockImplementation(() => real() + 3_600_000);
    try {
      expect(await valkey.command(["PING"])).toBe("PONG");
    } finally {
      later.mockRestore();
    }
  });

  test("a command that was sent over a lost connection is rejected, and not sent again", async () => {
    const server = await launch();
    const address = await createMovableAddress(server.port);
    const { valkey } = connect(address.url);
    await valkey.command(["PING"]);
    server.pause();
    const sent = failureOf(valkey.command(["INCR", "count"]));
    address.cut();
    expect((await sent).code).toBe("unreachable");
    server.resume();
    const count = Number(await valkey.command(["INCR", "count"]));
    // The server may have read the first one.
    expect([1, 2]).toContain(count);
    expect(Number(await valkey.command(["INCR", "count"]))).toBe(count + 1);
  });

  test("a refusal during an outage contains the reason of the last failed attempt", async () => {
    const server = await launch();
    const { valkey } = connect(server.url);
    await valkey.command(["PING"]);
    await server.stop();
    const failure = await failureOf(valkey.command(["PING"]));
    expect(failure.code).toBe("unreachable");
    expect(reasonOf(failure)).toContain("ECONNREFUSED");
  });

  test("a peer that accepts connections and closes them makes commands fail immediately after the first wait", async () => {
    const server = await launch();
    const address = await createMovableAddress(server.port);
    const { valkey } = connect(address.url, 30_000);
    await valkey.command(["PING"]);
    await server.stop();
    for (let attempt = 0; attempt < 50; attempt++) {
      expect((await failureOf(valkey.command(["PING"]))).code).toBe("unreachable");
    }
  });
});

describe.skipIf(!canLaunchValkey())("connections to a Valkey that becomes a replica", () => {
  async function launchPair() {
    const [first, second] = [await launch(), await launch()];
    const address = await createMovableAddress(first.port);
    const { valkey, failures } = connect(address.url);
    await valkey.command(["SET", "text", "before"]);
    return {
      second,
      address,
      valkey,
      failures,
      demote: () => tell(first.port, `REPLICAOF 127.0.0.1 ${second.port}`),
      promote: () => tell(first.port, "REPLICAOF NO ONE"),
    };
  }

  test.each([
    ["command", (valkey: ValkeyConnection) => valkey.command(["SET", "text", "a-secret-value"])],
    ["script", (valkey: ValkeyConnection) => valkey.evaluate("return redis.call('SET', KEYS[1], 1)", ["text"], [])],
  ])("a %s that a replica refuses makes the connection look for the primary again", async (_, write) => {
    const { second, address, valkey, failures, demote } = await launchPair();
    await demote();
    address.lead(second.port);
    const refused = await failureOf(write(valkey));
    expect([refused.code, reasonOf(refused)]).toEqual(["refused", expect.stringContaining("READONLY")]);
    expect(await valkey.command(["SET", "text", "after"])).toBe("OK");
    expect(await connect(second.url).valkey.command(["GET", "text"])).toBe("after");
    expect(address.connected).toBe(2);
    expect(failures).toEqual([
      new Error("the server is a replica, which takes no writes; use the address of the primary"),
    ]);
  });

  test("reads are refused while the address leads to a replica, with the reason, and not after its promotion", async () => {
    const { address, valkey, demote, promote } = await launchPair();
    await demote();
    await failureOf(valkey.command(["SET", "text", "refused"]));
    const refused = await failureOf(valkey.command(["GET", "text"]));
    expect([refused.code, reasonOf(refused)]).toEqual([
      "unreachable",
      expect.stringContaining("the server is a replica"),
    ]);
    // Attempts to connect become slower, as to a server that is down.
    expect(address.connected).toBeLessThan(10);
    await promote();
    await untilResponding(valkey);
    expect(await valkey.command(["SET", "text", "after"])).toBe("OK");
  });

  test("a connection that only reads notices a replica within seconds", async () => {
    const { second, address, valkey, demote } = await launchPair();
    await demote();
    address.lead(second.port);
    const real = performance.now.bind(performance);
    const later = vi.spyOn(performance, "now").mockImplementation(() => real() + 5_000);
    try {
      while (address.connected < 2) {
        await valkey.command(["GET", "text"]).catch(() => undefined);
        await setImmediate();
      }
      expect(await valkey.command(["SET", "text", "after"])).toBe("OK");
    } finally {
      later.mockRestore();
    }
  });

  test("a first connection to a replica rejects commands with the reason", async () => {
    const [first, second] = [await launch(), await launch()];
    await tell(first.port, `REPLICAOF 127.0.0.1 ${second.port}`);
    const { valkey, failures } = connect(first.url, 300);
    const refused = await failureOf(valkey.command(["PING"]));
    expect([refused.code, reasonOf(refused)]).toEqual([
      "unreachable",
      expect.stringContaining("the server is a replica"),
    ]);
    expect(failures).toHaveLength(1);
  });
});
