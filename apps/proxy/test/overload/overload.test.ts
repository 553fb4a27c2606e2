/**
 * Overload of the built gateway: 500 callers of a slow upstream, in a process that may open 300 files (on Deno by its setting only). Callers get a response of the upstream or a typed
 * 503, and a message is never of unknown result if it was not sent.
 */
import { once } from "node:events";
import process from "node:process";
import { connect } from "node:net";
import { createFakeUpstream, type FakeUpstream } from "@letta-environments/testkit";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createServerLauncher } from "../runtimes/server-launcher.ts";
import type { LaunchedGateway } from "../runtimes/launcher.ts";
import { environmentRow } from "../support/environment-row.ts";
import { parseResponse, readToEnd, requestHead } from "../support/raw-http.ts";

const callers = 500;
const upstreamDelayMs = 1_500;
const durationMs = Number(process.env["OVERLOAD_MS"] ?? 6_000);
const row = environmentRow("1");

/** The response of one request; status 0 when the connection was closed without one. */
interface Outcome {
  readonly status: number;
  readonly code: string | null;
}

async function call(url: string, head: string, body: string): Promise<Outcome> {
  const socket = connect(Number(new URL(url).port), "127.0.0.1");
  socket.on("error", () => undefined);
  socket.write(head + body);
  // A connection that is closed at once can be reset.
  const text = await readToEnd(socket).catch(() => "");
  if (text === "") return { status: 0, code: null };
  const response = parseResponse(text);
  const code = /"errorCode":"([a-z_]+)"/.exec(response.body)?.[1] ?? null;
  return { status: response.status, code };
}

describe.each([createServerLauncher("node"), createServerLauncher("bun"), createServerLauncher("deno")])(
  "500 callers of a slow upstream on $name, with 300 open files",
  (launcher) => {
    let upstream: FakeUpstream;
    let gateway: LaunchedGateway;
    let key = "";
    let received = 0;

    beforeAll(async () => {
      upstream = await createFakeUpstream(({ method, target }, response) => {
        const isLookUp = target.startsWith("/v1/environments?limit=100") || target.endsWith(row.deviceId);
        const isPost = method === "POST";
        if (isPost) received += 1;
        const sent = isPost ? { success: true, message: "ok" } : { connections: [row], hasNextPage: false };
        const text = JSON.stringify(target.endsWith(row.deviceId) ? row : sent);
        const respond = (): void => void response.writeHead(200, { "content-type": "application/json" }).end(text);
        setTimeout(respond, isLookUp ? 0 : upstreamDelayMs);
      });
      gateway = await launcher.launch({
        config: { cache: { enabled: false }, rateLimits: { enabled: false }, maxOpenFiles: 300 },
        environment: { UPSTREAM_URL: upstream.url, LETTA_API_KEY: "sk-upstream" },
        // A listener of Deno never accepts again after a connection for which no file was left.
        maxOpenFiles: launcher.name === "deno" ? 2_048 : 300,
      });
      ({ key } = await gateway.createKey({ scopes: ["list", "read", "send"] }));
    }, 60_000);

    afterAll(async () => {
      await gateway.stop();
      await upstream.close();
    });

    test("callers of an overloaded gateway get the upstream's response or 503 overloaded, and messages that were not sent have no unknown outcome", async () => {
      const outcomes = new Map<string, number>();
      const endsAt = performance.now() + durationMs;
      let sends = 0;
      let accepted = 0;
      const authorization = `Bearer ${key}`;

      async function run(index: number): Promise<void> {
        const isSend = index % 5 === 0;
        for (let count = 0; performance.now() < endsAt; count++) {
          const message = { role: "user", content: "x", client_message_id: `m-${index}-${count}` };
          const body = isSend ? JSON.stringify({ agentId: "a", messages: [message] }) : "";
          const headers = { authorization, "content-type": "application/json", "content-length": String(body.length) };
          const head = isSend
            ? requestHead("POST", `/v1/environments/${row.connectionId}/messages`, headers)
            : requestHead("GET", `/v1/environments?limit=${1 + (index % 99)}`, { authorization });
          const { status, code } = await call(gateway.url, head, body);
          const name = `${isSend ? "send" : "list"} ${status} ${code ?? "-"}`;
          outcomes.set(name, (outcomes.get(name) ?? 0) + 1);
          if (isSend) sends += 1;
          if (isSend && status === 200) accepted += 1;
          // A caller that is refused waits a little, as Retry-After says.
          if (status !== 200) await once(AbortSignal.timeout(250), "abort");
        }
      }

      await Promise.all(Array.from({ length: callers }, (_, index) => run(index)));
      const shown = Object.fromEntries(outcomes);
      process.stderr.write(`${launcher.name}: ${JSON.stringify(shown)}, sends received ${received} of ${sends}\n`);
      const allowed = /^(?:list|send) (?:200 -|503 overloaded|0 -)$/;
      expect([...outcomes.keys()].filter((name) => !allowed.test(name))).toEqual([]);
      expect(outcomes.get("send 200 -")).toBeGreaterThan(0);
      expect(outcomes.get("list 200 -")).toBeGreaterThan(0);
      expect(received).toBe(accepted);
      // It is reported at most once in a second, so maybe a second later.
      await expect.poll(() => gateway.log?.()).toContain('"event":"overloaded"');
    }, 60_000);

    test("callers are served again after the load ends", async () => {
      const head = requestHead("GET", `/v1/environments/${row.deviceId}`, { authorization: `Bearer ${key}` });
      expect(await call(gateway.url, head, "")).toEqual({ status: 200, code: null });
    });
  },
);
