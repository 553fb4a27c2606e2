import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import Letta from "@letta-ai/letta-client";
import { createClient, isLettaEnvironmentsError } from "@letta-environments/client";
import type { BenchmarkResult } from "./harness/result.ts";

const timeoutMs = 300;
/** A call that has not ended by then hangs. */
const patienceMs = 2_500;

type Name = "ours" | "official SDK 1.12.1";

/** How a call ended, in words. */
interface Ending {
  readonly text: string;
  readonly value: unknown;
}

/** Compares how the client and the official SDK react to a server on loopback that misbehaves. */
export async function measureClientBehaviour(): Promise<BenchmarkResult> {
  let sends = 0;
  const server = createServer((request, response) => {
    const [, scenario = ""] = (request.url ?? "").split("/");
    const json = { "content-type": "application/json" };
    if (scenario === "stall") response.writeHead(200, json).write('{"connections":');
    else if (scenario === "limited") response.writeHead(429, { ...json, "retry-after": "3600" }).end("{}");
    else if (scenario === "wait") response.writeHead(429, { ...json, "retry-after": "2" }).end("{}");
    else if (scenario === "html") response.writeHead(200, { "content-type": "text/html" }).end("<h1>Sign in</h1>");
    else {
      sends += 1;
      response.writeHead(500, json).end("{}");
    }
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

  const clientsAt = (
    scenario: string,
    limitMs = timeoutMs,
  ): Record<Name, Pick<Letta["environments"], "list" | "sendMessage">> => {
    const baseUrl = `${origin}/${scenario}`;
    const ours = createClient({ baseUrl, apiKey: "key", timeoutMs: limitMs }).environments;
    const { environments } = new Letta({ baseURL: baseUrl, apiKey: "key", timeout: limitMs });
    return { ours: ours as unknown as Letta["environments"], "official SDK 1.12.1": environments };
  };
  const abortSoon = (): { readonly signal: AbortSignal } => ({ signal: AbortSignal.timeout(200) });
  const body = { messages: [{ role: "user" as const, content: "hello", client_message_id: "m-1" }] };
  const each = async (of: (name: Name) => Promise<Ending>): Promise<Record<Name, Ending>> => ({
    ours: await of("ours"),
    "official SDK 1.12.1": await of("official SDK 1.12.1"),
  });

  const stalled = await each((name) => watch(clientsAt("stall")[name].list()));
  const aborted = await each((name) => watch(clientsAt("wait", 60_000)[name].list({}, abortSoon())));
  const limited = await each((name) => watch(clientsAt("limited", 60_000)[name].list()));
  const html = await each((name) => watch(clientsAt("html", 10_000)[name].list()));
  const posted = await each(async (name) => {
    sends = 0;
    const { text } = await watch(clientsAt("post", 10_000)[name].sendMessage("c-1", body));
    return { text: `${sends} ${sends === 1 ? "send" : "sends"}; ${text}`, value: sends };
  });
  server.closeAllConnections();
  server.close();

  const rows: readonly (readonly [string, Record<Name, Ending>])[] = [
    [`headers, then a body that stalls; time limit ${timeoutMs} ms`, stalled],
    ["429 with Retry-After: 2, aborted after 200 ms", aborted],
    ["429 with Retry-After: 3600", limited],
    ["200 with HTML", html],
    ["POST that gets a 500", posted],
  ];
  const goals: readonly (readonly [string, Ending, string | number])[] = [
    ["a stalled body ends in time", stalled.ours, "timeout"],
    ["abort ends a wait", aborted.ours, "aborted"],
    ["a wait of an hour is not begun", limited.ours, "http_error"],
    ["HTML is a typed error", html.ours, "invalid_response"],
    ["a send is not repeated after 500", posted.ours, 1],
  ];
  return {
    tables: [
      {
        caption: `The outcome of a call; one that has not ended after ${patienceMs} ms hangs.`,
        columns: ["server", "ours", "official SDK 1.12.1"],
        rows: rows.map(([what, endings]) => [what, endings.ours.text, endings["official SDK 1.12.1"].text]),
      },
    ],
    goals: goals.map(([goal, { text, value }, wanted]) => ({ goal, shown: text, met: value === wanted })),
    data: Object.fromEntries(rows),
  };
}

async function watch(call: PromiseLike<unknown>): Promise<Ending> {
  const startedAt = performance.now();
  let timer: NodeJS.Timeout | undefined;
  const patience = new Promise<Ending>((resolve) => {
    timer = setTimeout(() => resolve({ text: "hangs", value: "hangs" }), patienceMs);
  });
  const ended = Promise.resolve(call).then(
    (value): Ending => ({ text: `resolves to a ${typeof value}`, value: typeof value }),
    (error: unknown): Ending => {
      const name = isLettaEnvironmentsError(error) ? error.code : error instanceof Error ? error.constructor.name : "";
      return { text: `\`${name}\` after ${Math.round(performance.now() - startedAt)} ms`, value: name };
    },
  );
  const ending = await Promise.race([ended, patience]);
  clearTimeout(timer);
  return ending;
}
