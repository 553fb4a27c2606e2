import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer, type AddressInfo, type Socket } from "node:net";
import process from "node:process";
import { inspect } from "node:util";
import { connectValkey } from "@letta-environments/platform/valkey";
import { describe, expect, test } from "vitest";
import { canLaunchValkey } from "../src/index.ts";
import {
  closeAfterEachTest,
  closeAfterTest,
  connect,
  failureOf,
  launch,
  untilResponding,
} from "./support/use-valkey.ts";

closeAfterEachTest();

describe.skipIf(!canLaunchValkey())("connections to Valkey", () => {
  test("a connection returns strings, numbers, nulls and lists as the server sends them", async () => {
    const { valkey } = connect((await launch()).url);
    expect(await valkey.command(["SET", "naïve ☂", "a ☂"])).toBe("OK");
    expect(await valkey.command(["get", "naïve ☂"])).toBe("a ☂");
    expect(await valkey.command(["GET", "unknown"])).toBeNull();
    expect(await valkey.command(["INCRBY", "count", 4])).toBe(4);
    expect(await valkey.command(["HSET", "hash", "a", 1, "b", 2])).toBe(2);
    expect(await valkey.command(["hgetall", "hash"])).toEqual(["a", "1", "b", "2"]);
  });

  test("a connection runs a script, including one that the server does not have or has lost", async () => {
    const { valkey } = connect((await launch()).url);
    const script = "return {KEYS[1], ARGV[1], redis.call('INCR', KEYS[1])}";
    expect(await valkey.evaluate(script, ["{a}:count"], ["value"])).toEqual(["{a}:count", "value", 1]);
    expect(await valkey.evaluate(script, ["{a}:count"], [5])).toEqual(["{a}:count", "5", 2]);
    await valkey.command(["SCRIPT", "FLUSH"]);
    expect(await valkey.evaluate(script, ["{a}:count"], ["value"])).toEqual(["{a}:count", "value", 3]);
  });

  test("a connection runs a script once when the user is not allowed to use EVALSHA", async () => {
    const server = await launch({ args: ["--user", "limited", "on", ">pw", "allkeys", "+@all", "-evalsha"] });
    const { valkey } = connect(`valkey://limited:pw@127.0.0.1:${server.port}`);
    for (const count of [1, 2]) expect(await valkey.evaluate("return redis.call('INCR', 'a')", [], [])).toBe(count);
    expect(await valkey.command(["INFO", "commandstats"])).toMatch(/cmdstat_evalsha:[^\n]*rejected_calls=1/);
  });

  test("a connection uses the password and the database of the URL", async () => {
    const { url } = await launch({ password: "p@ss/word" });
    await connect(`${url}/3`).valkey.command(["SET", "a", "in 3"]);
    expect(await connect(url).valkey.command(["GET", "a"])).toBeNull();
    expect(await connect(`${url}/3`).valkey.command(["GET", "a"])).toBe("in 3");
  });

  test("a connection rejects a wrong password immediately, with an error that contains neither it nor the command", async () => {
    const { port } = await launch({ password: "right" });
    const { valkey, failures } = connect(`redis://default:hunter2secret@127.0.0.1:${port}`, 60_000);
    const failure = await failureOf(valkey.command(["SET", "a", "value"]));
    expect(failure.code).toBe("refused");
    expect(failure.message).toContain(`127.0.0.1:${port}`);
    expect(inspect(failure.cause)).toContain("WRONGPASS");
    expect(failures).toHaveLength(1);
    expect(inspect([failure, failures], { depth: 9, showHidden: true })).not.toContain("hunter2secret");
  });

  test("a connection backs off after a refused login, even where the server accepts users without one", async () => {
    const { port } = await launch({ args: ["--user", "alice", "on", ">right", "~*", "+@all"] });
    const { valkey, failures } = connect(`valkey://alice:wrong@127.0.0.1:${port}`);
    const other = connect(`valkey://127.0.0.1:${port}`).valkey;
    const connections = async (): Promise<number> =>
      Number(/total_connections_received:(\d+)/.exec(String(await other.command(["INFO", "stats"])))?.[1]);
    await failureOf(valkey.command(["SET", "a", "value"]));
    const [before, startedAt] = [await connections(), performance.now()];
    while ((await connections()) < before + 6) await new Promise((resolve) => void setTimeout(resolve, 10));
    // Without back-off, 6 pauses of 50 ms.
    expect(performance.now() - startedAt).toBeGreaterThan(900);
    expect(failures).toHaveLength(1);
    expect(await other.command(["GET", "a"])).toBeNull();
  });

  test("a connection does not use another database when the server refuses that of the URL", async () => {
    const { url } = await launch();
    const { valkey, failures } = connect(`${url}/99`);
    for (let attempt = 0; attempt < 3; attempt++) {
      const failure = await failureOf(valkey.command(["SET", "a", "value"]));
      expect([failure.code, inspect(failure.cause)]).toEqual(["refused", expect.stringContaining("DB index")]);
    }
    expect(failures).toHaveLength(1);
    expect(await connect(url).valkey.command(["GET", "a"])).toBeNull();
  });

  test("a connection reports a refused command with an error that does not contain it", async () => {
    const { valkey } = connect((await launch()).url);
    for (const words of [["LPUSHX"], ["NONSENSE", "a-secret-value"], ["INCR", "text"]]) {
      await valkey.command(["SET", "text", "a-secret-value"]);
      const failure = await failureOf(valkey.command(words));
      expect(failure.code).toBe("refused");
      expect(inspect(failure, { depth: 9, showHidden: true })).not.toContain("a-secret-value");
    }
  });

  test("a connection waits for the first connection for at most the timeout", async () => {
    const { port, stop } = await launch();
    await stop();
    const { valkey } = connect(`valkey://127.0.0.1:${port}`, 20_000);
    const reply = valkey.command(["PING"]);
    const late = await failureOf(valkey.command(["PING"], { timeoutMs: 60 }));
    expect(late.code).toBe("unreachable");
    expect(inspect(late.cause)).toContain("ECONNREFUSED");
    await launch({ port });
    expect(await reply).toBe("PONG");
  });

  test("a connection rejects immediately while the server stays down, reports it once, and reconnects when it is back", async () => {
    const server = await launch();
    const { valkey, failures } = connect(server.url);
    await valkey.command(["PING"]);
    await server.stop();
    for (let attempt = 0; attempt < 100; attempt++) {
      // A timer of this process runs later, however busy the machine is; the timeout of a command is two seconds.
      let isInTime = true;
      const timer = setTimeout(() => (isInTime = false), 1_000);
      expect((await failureOf(valkey.command(["PING"]))).code).toBe("unreachable");
      clearTimeout(timer);
      expect(isInTime).toBe(true);
    }
    await launch({ port: server.port });
    await untilResponding(valkey);
    // That the connection was closed, and that no other one could be made.
    expect(failures.length).toBeGreaterThanOrEqual(1);
    expect(failures.length).toBeLessThanOrEqual(2);
  });

  test("a server that hangs causes a timeout, a silent connection is closed, and both recover", async () => {
    const server = await launch();
    const { valkey } = connect(server.url, 100);
    await valkey.command(["PING"], { timeoutMs: 5_000 });
    server.pause();
    expect((await failureOf(valkey.command(["PING"]))).code).toBe("timeout");
    const codes = new Set<string>();
    while (!codes.has("unreachable")) codes.add((await failureOf(valkey.command(["PING"]))).code);
    server.resume();
    await untilResponding(valkey, 2_000);
  });

  test("a late reply is not used for another command", async () => {
    const server = await launch();
    const { valkey } = connect(server.url, 5_000);
    await valkey.command(["PING"]);
    server.pause();
    expect((await failureOf(valkey.command(["ECHO", "first"], { timeoutMs: 30 }))).code).toBe("timeout");
    const second = valkey.command(["ECHO", "second"]);
    server.resume();
    expect(await second).toBe("second");
  });

  test("a connection rejects pending and later commands when it is closed", async () => {
    const server = await launch();
    const { valkey, failures } = connect(server.url);
    await valkey.command(["PING"]);
    server.pause();
    const underWay = failureOf(valkey.command(["PING"]));
    await valkey.close();
    expect((await underWay).code).toBe("unreachable");
    expect((await failureOf(valkey.command(["PING"]))).code).toBe("unreachable");
    expect(failures).toEqual([]);
  });

  test.each(["a server that responds", "no server"])(
    "a connection lets the process end once it is closed, with %s",
    async (kind) => {
      const server = await launch();
      if (kind === "no server") await server.stop();
      const program = `
      import { connectValkey } from "@letta-environments/platform/valkey";
      const valkey = connectValkey(${JSON.stringify(server.url)}, { timeoutMs: 300, onFailure: () => undefined });
      await valkey.command(["PING"]).catch(() => undefined);
      await valkey.close();`;
      const child = spawn(process.execPath, ["--input-type=module", "-e", program], {
        cwd: import.meta.dirname,
        stdio: "inherit",
      });
      expect(await once(child, "exit")).toEqual([0, null]);
    },
  );
});

test("a peer that accepts connections and never replies causes a timeout in the time of the command", async () => {
  const sockets: Socket[] = [];
  const server = createServer((socket) => void sockets.push(socket)).listen(0, "127.0.0.1");
  await once(server, "listening");
  closeAfterTest(async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => void server.close(resolve));
  });
  const { valkey } = connect(`valkey://127.0.0.1:${(server.address() as AddressInfo).port}`, 100);
  expect(["timeout", "unreachable"]).toContain((await failureOf(valkey.command(["PING"]))).code);
});

test.each(["valkey://127.0.0.1", "valkey://user:secret@127.0.0.1"])(
  "a server that closes the connection of %s before it replies, as a TLS port does, causes an error that names the scheme for TLS",
  async (url) => {
    const server = createServer((socket) => {
      socket.on("error", () => undefined).once("data", () => socket.resetAndDestroy());
    }).listen(0, "127.0.0.1");
    await once(server, "listening");
    closeAfterTest(() => new Promise((resolve) => void server.close(() => resolve())));
    const { valkey, failures } = connect(`${url}:${(server.address() as AddressInfo).port}`, 500);
    expect(String((await failureOf(valkey.command(["PING"]))).cause)).toContain("a TLS port needs valkeys:");
    expect(failures.map(String)).toEqual([expect.stringContaining("the server closed the connection; a TLS port")]);
  },
);

test("a URL of another scheme is refused with an error that does not contain it", () => {
  const connectTo = (): unknown =>
    connectValkey("http://:hunter2secret@host", { timeoutMs: 100, onFailure: () => undefined });
  expect(connectTo).toThrow("must be a valkey:, valkeys:, redis: or rediss: URL");
  expect(connectTo).not.toThrow("hunter2secret");
});
