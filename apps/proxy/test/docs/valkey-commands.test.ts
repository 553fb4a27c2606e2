/** The commands and names of keys that docs/configuration.md lists for each store in Valkey: a user with no others passes its suite. */
import { deepStrictEqual } from "node:assert";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { storeContract } from "@letta-environments/http-cache/testing";
import type { ValkeyConnection } from "@letta-environments/platform";
import { sha256Hex, systemClock } from "@letta-environments/platform/node";
import { connectValkey } from "@letta-environments/platform/valkey";
import { canLaunchValkey, type LaunchedValkey, launchValkey } from "@letta-environments/testkit";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { createValkeyCacheStore } from "../../src/adapters/valkey/cache-store.ts";
import { createValkeyIdempotencyStore } from "../../src/adapters/valkey/idempotency-store.ts";
import { openValkeyKeyStore } from "../../src/adapters/valkey/key-store.ts";
import { createValkeyRateLimitStore } from "../../src/adapters/valkey/rate-limit-store.ts";
import { assertDurableValkey, assertSingleServer } from "../../src/adapters/valkey/server-info.ts";
import { describeIdempotencyStore } from "../idempotency-store-contract.ts";
import { describeKeyStore } from "../key-store-contract.ts";
import { describeRateLimitStore } from "../rate-limit-store-contract.ts";
import { type CountedConnection, countPending } from "../support/count-pending.ts";

const page = readFileSync(join(import.meta.dirname, "../../../../docs/configuration.md"), "utf8").replaceAll(
  /\s+/g,
  " ",
);

/** Returns the rules of a user who has what a sentence lists, and `more`. */
function rulesOf(sentence: RegExp, more: readonly string[] = []): readonly string[] {
  const [, list = "", names = ""] = sentence.exec(page) ?? [];
  const commands = [...list.matchAll(/`([A-Z]+)`/g)].map(([, name = ""]) => `+${name.toLowerCase()}`);
  if (commands.length === 0) throw new Error(`docs/configuration.md has no sentence like ${sentence.source}`);
  // Most stores of this test have their own prefixes, so that each one is empty.
  return [...new Set([...more, `~${names}`, `~${names.replace("letta-proxy", "test-*")}`, ...commands])];
}

const keys = rulesOf(/The user needs (.*?), on `([^`]+)`/);
const users: Readonly<Record<string, readonly string[]>> = {
  keys,
  limits: rulesOf(/Rate limits in Valkey [^.]* also need (.*?) on `([^`]+)`/, keys),
  cache: rulesOf(/A cache in Valkey also needs (.*?) on `([^`]+)`/, keys),
  sends: rulesOf(/Sends to a remote upstream also need (.*?), with those of the keys on `([^`]+)`/, keys),
};

describe.runIf(canLaunchValkey())("Valkey users with only the listed commands", () => {
  let server: LaunchedValkey;
  let prefixes = 0;
  const opened = new Map<string, CountedConnection>();

  beforeAll(async () => {
    const args = Object.entries(users).flatMap(([name, rules]) => ["--user", name, "on", ">pw", ...rules]);
    server = await launchValkey({ args });
  });
  afterAll(async () => {
    for (const connection of opened.values()) await connection.close();
    await server.stop();
  });

  function connect(user: string): CountedConnection {
    const known = opened.get(user);
    if (known !== undefined) return known;
    const address = user === "default" ? "" : `${user}:pw@`;
    const url = `valkey://${address}127.0.0.1:${server.port}`;
    const connection = countPending(connectValkey(url, { timeoutMs: 5_000, onFailure: () => undefined }));
    opened.set(user, connection);
    return connection;
  }

  // The store of the keys has one prefix, and its suite expects an empty one for each test.
  beforeEach(async () => {
    await connect("default").command(["FLUSHALL"]);
  });

  const nextPrefix = (): string => `test-${prefixes++}`;

  test("a Valkey user with only the listed commands passes the checks at startup", async () => {
    const connection: ValkeyConnection = connect("keys");
    await expect(assertSingleServer(connection).then(() => assertDurableValkey(connection))).resolves.toBeUndefined();
  });

  describeKeyStore("that has gateway keys", { generationBoundMs: 2_000, storesText: true }, () => ({
    connect: (clock, onDamaged) => openValkeyKeyStore(connect("keys"), clock, onDamaged),
    async damage(id, text) {
      await connect("default").command(["HSET", "{letta-environments:keys}:records", id, text]);
    },
    settle: () => connect("keys").settle(),
  }));

  describeRateLimitStore("that counts rate limits", { time: "wall", runs: 10 }, (clock) =>
    createValkeyRateLimitStore(connect("limits"), { prefix: nextPrefix(), clock }),
  );

  describe("that has cached responses", () => {
    const options = { maxBytes: 67_108_864, maxEntries: 100_000, onRecovered: () => undefined };
    const open = () => createValkeyCacheStore(connect("cache"), systemClock, sha256Hex, options);
    storeContract({ test, equal: deepStrictEqual }, open);
  });

  describeIdempotencyStore("that remembers sends", { time: "wall", countsIds: false, runs: 10 }, (clock) => {
    const prefix = nextPrefix();
    const again = () => createValkeyIdempotencyStore(connect("sends"), { prefix, clock });
    return { store: again(), connect: again };
  });
});
