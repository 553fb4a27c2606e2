import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { openSqlite } from "@letta-environments/platform/node";
import { connectValkey } from "@letta-environments/platform/valkey";
import { canLaunchValkey, createRandom, createVirtualClock, launchValkey } from "@letta-environments/testkit";
import { expect, onTestFinished, test } from "vitest";
import { listen, settleEvents } from "./support/event-streams.ts";
import { anyone, createHarness, userMessage } from "./support/harness.ts";
import { openLogsInValkey } from "./support/logs-in-valkey.ts";

const kills = Number(process.env["KILLED_LOGS"] ?? 2);
const everything = { ...anyone, scopes: new Set([...anyone.scopes, "approve", "view"] as const) };

/** A fact that the caller in a killed process has seen. */
interface Fact {
  readonly connectionId?: string;
  readonly event?: string;
  readonly sent?: string;
  readonly status?: number;
  readonly finished?: string;
  readonly asked?: string;
  readonly decided?: string;
}

/** Runs a server in its own process until it has printed a number of facts, then kills it with SIGKILL. */
async function runUntilKilled(args: readonly string[], count: number): Promise<readonly Fact[]> {
  const script = join(import.meta.dirname, "support", "work-until-killed.ts");
  const child = spawn(process.execPath, [script, ...args], { stdio: ["ignore", "pipe", "inherit"] });
  const exited = once(child, "exit");
  let text = "";
  for await (const chunk of child.stdout) {
    text += String(chunk);
    if (!child.killed && text.split("\n").length > count) child.kill("SIGKILL");
  }
  expect(await exited).toEqual([null, "SIGKILL"]);
  // The kill can cut the last line.
  return text
    .split("\n")
    .slice(0, -1)
    .map((line) => JSON.parse(line) as Fact);
}

test.runIf(canLaunchValkey())(
  "every observed event, status and decision is stored once, in order, with kill -9 at random points and logs in Valkey",
  async () => {
    const [seed = 0] = crypto.getRandomValues(new Uint32Array(1));
    const random = createRandom(seed);
    const directory = await mkdtemp(join(tmpdir(), "kill-valkey-logs-"));
    const valkey = await launchValkey({ directory });
    const connection = connectValkey(valkey.url, { timeoutMs: 5_000, onFailure: () => undefined });
    const file = join(directory, "server.sqlite");
    const runs: (readonly Fact[])[] = [];
    for (let run = 0; run < kills; run += 1) {
      runs.push(await runUntilKilled([file, valkey.url, String(run)], 5 + random.below(60)));
    }
    const facts = runs.flat();
    const database = openSqlite(file);
    onTestFinished(async () => {
      database.close();
      await connection.close();
      await valkey.stop();
      await rm(directory, { recursive: true, force: true });
    });
    const store = openLogsInValkey(database, connection, () => randomBytes(8).toString("hex"));
    const harness = createHarness({ store, clock: createVirtualClock(Date.now()) });
    const seen = facts.flatMap(({ event }) => (event === undefined ? [] : [event]));
    process.stdout.write(`kill -9, logs in Valkey, seed ${seed}: ${seen.length} events, ${kills} kills\n`);

    const [first = "", ...rest] = seen;
    const reader = await listen(harness, { principal: everything, include: "output", lastEventId: first });
    const stored = (): readonly string[] => reader.events.map(({ id }) => id);
    await expect.poll(() => settleEvents(harness).then(() => stored().includes(rest.at(-1) ?? ""))).toBe(true);
    const isSeen = new Set(rest);
    expect(stored().filter((id) => isSeen.has(id))).toEqual(rest);
    expect(new Set(stored()).size).toBe(stored().length);
    expect(reader.events.filter(({ type }) => type === "gap")).toEqual([]);

    const connectionId = facts.findLast((fact) => fact.connectionId !== undefined)?.connectionId ?? "";
    const messages = `/v1/environments/${connectionId}/messages`;
    const stateOf = async (id: string): Promise<unknown> =>
      (await harness.call("GET", `${messages}/${id}`, { principal: everything })).body["state"];
    for (const { finished } of facts)
      if (finished !== undefined) expect([finished, await stateOf(finished)]).toEqual([finished, "finished"]);
    for (const { sent, status } of facts) {
      if (sent === undefined) continue;
      expect([sent, status]).toEqual([sent, 200]);
      const repeated = await harness.send(connectionId, { messages: [userMessage(sent)] }, { principal: everything });
      expect([sent, repeated.status, repeated.headers["idempotency-replayed"]]).toEqual([sent, 200, "true"]);
    }

    const { body } = await harness.call("GET", "/v1/environments/approvals", { principal: everything });
    const pending = JSON.stringify(body);
    for (const { decided, status } of facts) {
      if (decided !== undefined) expect([status, pending.includes(decided)]).toEqual([200, false]);
    }
    // A request that was pending at the last kill still is, unless its decision was stored before.
    const asked = (runs.at(-1) ?? []).flatMap((fact) => (fact.asked === undefined ? [] : [fact.asked]));
    const ended = reader.events.flatMap(({ type, data }) =>
      type === "approval" && data["change"] !== "requested" ? [(data["approval"] as { id: string }).id] : [],
    );
    const { body: list } = await harness.call("GET", "/v1/environments", { principal: everything });
    const environmentId = (list["connections"] as readonly { readonly id: string }[])[0]?.id ?? "";
    const scope = { environmentId, agentId: "agent-1", conversationId: "default" };
    for (const toolCallId of asked.filter((id) => !pending.includes(id) && !ended.includes(id)))
      expect(await store.findDecidedApproval({ scope, toolCallId })).not.toBeNull();
    await harness.server.close();
  },
  60_000 + kills * 10_000,
);
