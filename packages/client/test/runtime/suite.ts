import { createClient, isLettaEnvironmentsError, type Middleware, type TransportOptions } from "../../src/index.ts";

/** The gateway and devices that the suite runs against. */
export interface SuiteSetting {
  readonly baseUrl: string;
  /** May list, read and send. */
  readonly apiKey: string;
  /** Name of a device that is online and acknowledges messages. */
  readonly onlineName: string;
  /** Id of a device that was online before. */
  readonly offlineId: string;
}

type Case = (setting: SuiteSetting) => Promise<void>;

const hello = { agentId: "agent-1", messages: [{ role: "user" as const, content: "hello from a runtime: é" }] };

function check(holds: boolean, what: string): void {
  if (!holds) throw new Error(what);
}

function environmentsOf({ baseUrl, apiKey }: SuiteSetting, more: Partial<TransportOptions> = {}) {
  return createClient({ baseUrl, apiKey, ...more }).environments;
}

async function codeOf(call: PromiseLike<unknown>): Promise<string> {
  try {
    await call;
    return "no error";
  } catch (error) {
    return isLettaEnvironmentsError(error) ? error.code : `another error: ${String(error)}`;
  }
}

async function checkCode(call: PromiseLike<unknown>, expected: string): Promise<void> {
  const code = await codeOf(call);
  check(code === expected, `expected ${expected}, got ${code}`);
}

/** Guarantees that hold on every runtime, tested against a real gateway on loopback. */
export const suite: Readonly<Record<string, Case>> = {
  async "a list gives access to its response: request id and rate limits can be read"(setting) {
    const { data, response } = await environmentsOf(setting).list({ limit: 10 }).withResponse();
    check(data.connections.length === 2 && !data.hasNextPage, `${data.connections.length} rows`);
    check((response.headers.get("x-request-id") ?? "") !== "", "no request id");
    check((response.headers.get("ratelimit") ?? "") !== "", "no rate limit");
  },
  async "iteration covers all pages"(setting) {
    const names: string[] = [];
    for await (const { connectionName } of environmentsOf(setting).listAll({ limit: 1 })) names.push(connectionName);
    check(names.includes(setting.onlineName) && names.length === 2, names.join());
  },
  async "a send reaches a real socket, and its repeat is reported as a duplicate"(setting) {
    const environments = environmentsOf(setting);
    const first = await environments.sendToDevice({ name: setting.onlineName }, hello);
    check(first.outcome === "started", first.outcome);
    const [id] = first.clientMessageIds;
    const [message] = hello.messages;
    const body = {
      ...hello,
      messages: [
        { ...message, role: "user" as const, content: message?.content ?? "", client_message_id: id, otid: id ?? "" },
      ],
    };
    const again = await environments.sendMessage(first.environment.connectionId ?? "", body);
    check(again.outcome === "duplicate", again.outcome);
  },
  async "an offline device is refused before anything is sent"(setting) {
    const methods: string[] = [];
    const middleware: Middleware = (request, next) => (methods.push(request.method), next(request));
    await checkCode(environmentsOf(setting, { middleware }).sendToDevice(setting.offlineId, hello), "device_offline");
    check(methods.join() === "GET", methods.join());
  },
  async "a wrong key and an unknown device are typed errors"(setting) {
    await checkCode(environmentsOf({ ...setting, apiKey: "lek_wrong" }).list(), "invalid_key");
    await checkCode(environmentsOf(setting).retrieve("nobody"), "environment_not_found");
  },
  async "invalid arguments are refused before any request"(setting) {
    const environments = environmentsOf(setting, { fetch: () => Promise.reject(new Error("a request was made")) });
    await checkCode(environments.retrieve(".."), "invalid_argument");
    await checkCode(environments.list({ limit: 0 }), "invalid_argument");
    await checkCode(environments.sendMessage("c-1", { messages: [] }), "invalid_argument");
  },
  async "abort and deadline end a call"(setting) {
    const environments = environmentsOf(setting);
    await checkCode(environments.list({}, { signal: AbortSignal.abort() }), "aborted");
    const controller = new AbortController();
    const call = codeOf(environments.list({}, { signal: controller.signal }));
    controller.abort();
    check((await call) === "aborted", await call);
    const stalled: Middleware = () => new Promise(() => undefined);
    await checkCode(environmentsOf(setting, { middleware: stalled, timeoutMs: 20 }).list(), "timeout");
  },
  async "abort ends a wait for a retry"(setting) {
    const controller = new AbortController();
    const middleware: Middleware = async () => {
      setTimeout(() => controller.abort(), 5);
      return new Response("{}", { status: 429, headers: { "retry-after": "30" } });
    };
    const environments = environmentsOf(setting, { middleware });
    await checkCode(environments.list({}, { signal: controller.signal }), "aborted");
  },
  async "a server that is not there is a typed error"(setting) {
    const environments = environmentsOf({ ...setting, baseUrl: "http://127.0.0.1:1" }, { maxRetries: 0 });
    const code = await codeOf(environments.list());
    // The local server of Workers responds 500 for a server that is not there.
    check(code === "connection_failed" || code === "http_error", code);
  },
  async "a stream of events has the states of a sent message, and the stream ends when the loop is left"(setting) {
    const environments = environmentsOf(setting);
    let opened: (() => void) | undefined;
    const isOpen = new Promise<void>((resolve) => (opened = resolve));
    const states: string[] = [];
    const reading = (async () => {
      for await (const event of environments.events({ onOpen: opened })) {
        if (event.type === "message") states.push(event.message.state);
        if (event.type === "message" && event.message.state === "accepted") return;
      }
    })();
    await isOpen;
    await environments.sendToDevice({ name: setting.onlineName }, hello);
    await reading;
    check(states.at(-1) === "accepted", states.join());
  },
  async "watching requests with an entity tag, receives 304, and ends when it is aborted"(setting) {
    const statuses: number[] = [];
    const controller = new AbortController();
    const middleware: Middleware = async (request, next) => {
      const response = await next(request);
      statuses.push(response.status);
      if (response.status === 304) controller.abort();
      return response;
    };
    const options = { intervalMs: 10, signal: controller.signal };
    const seen: string[] = [];
    for await (const { type } of environmentsOf(setting, { middleware }).watch({}, options)) seen.push(type);
    check(seen.slice(0, 2).join() === "appeared,appeared", seen.join());
    check(statuses[0] === 200 && statuses.at(-1) === 304, statuses.join());
  },
};

/** Runs every case. The result has the failure of each by title, `null` if it passed. */
export async function runSuite(setting: SuiteSetting): Promise<Record<string, string | null>> {
  const results: Record<string, string | null> = {};
  for (const [title, run] of Object.entries(suite)) {
    try {
      await run(setting);
      results[title] = null;
    } catch (error) {
      results[title] = String(error);
    }
  }
  return results;
}
