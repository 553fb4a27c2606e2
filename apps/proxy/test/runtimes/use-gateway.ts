import { createFakeUpstream, type FakeUpstream, type SeenRequest } from "@letta-environments/testkit";
import { afterAll, beforeAll } from "vitest";
import { environmentRow } from "../support/environment-row.ts";
import type { IssuedKey, KeyOptions, LaunchedGateway, RuntimeLauncher } from "./launcher.ts";

/** A gateway in front of a fake upstream, for the tests of a section. */
export interface GatewayUnderTest {
  readonly url: string;
  readonly gateway: LaunchedGateway;
  readonly upstream: FakeUpstream;
  /** Lets the upstream respond to the reads of {@link heldDevice} and accept the messages with {@link heldContent} that it has received. */
  releaseHeld(): void;
  /** Calls the gateway; an object as body is sent as JSON. */
  ask(path: string, request?: AskedRequest): Promise<Answer>;
  /** A key with these options; the same key for equal options. */
  keyFor(...scopes: KeyOptions["scopes"]): Promise<string>;
  /** A new key. */
  createKey(options: KeyOptions): Promise<IssuedKey>;
}

/** The request of a test. */
export interface AskedRequest {
  readonly method?: string;
  readonly key?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | object;
  readonly signal?: AbortSignal;
}

/** The response, read to its end. */
export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  /** The body as JSON; an empty object if it is not JSON. */
  readonly json: Readonly<Record<string, unknown>>;
}

/** The credential with which the gateway calls the fake upstream. */
export const upstreamCredential = "sk-of-the-upstream";

/** The content of a message that the fake upstream accepts when a test says so. */
export const heldContent = "held";

/** The id of a device whose reads the fake upstream answers when a test says so. */
export const heldDevice = "held-device";

/** The content of a message that the fake upstream accepts behind a `100 Continue`, for which no gateway asks. */
export const continuedContent = "continued";

/** The one row that the fake upstream has. */
export const upstreamRow = environmentRow("1");

/** Starts a gateway in front of a fake upstream before the tests of the describe block, and stops both behind them. */
export function useGateway(
  launcher: RuntimeLauncher,
  config: Readonly<Record<string, unknown>> = {},
): GatewayUnderTest {
  let upstream: FakeUpstream;
  let gateway: LaunchedGateway;
  const keys = new Map<string, Promise<string>>();
  const held: (() => void)[] = [];

  beforeAll(async () => {
    upstream = await createFakeUpstream((request, response) => answerAsUpstream(request, response, held));
    gateway = await launcher.launch({
      config,
      environment: { UPSTREAM_URL: upstream.url, LETTA_API_KEY: upstreamCredential },
    });
  }, 60_000);

  afterAll(async () => {
    await gateway.stop();
    await upstream.close();
  });

  return {
    get url() {
      return gateway.url;
    },
    get gateway() {
      return gateway;
    },
    get upstream() {
      return upstream;
    },
    releaseHeld: () => held.splice(0).forEach((respond) => respond()),
    ask: (path, request) => ask(gateway.url, path, request),
    createKey: (options) => gateway.createKey(options),
    keyFor(...scopes) {
      const name = scopes.join(" ");
      const key = keys.get(name) ?? gateway.createKey({ scopes }).then((issued) => issued.key);
      keys.set(name, key);
      return key;
    },
  };
}

/**
 * Observes its own gateway from the start of the file, while the other tests run. For time limits of half a minute: a test asks for the
 * result when nothing else is left to do.
 */
export function beginWithSuite<Result>(
  launcher: RuntimeLauncher,
  observe: (gateway: LaunchedGateway) => Promise<Result>,
): () => Promise<Result> {
  let gateway: LaunchedGateway;
  let result: Promise<Result>;
  beforeAll(async () => {
    gateway = await launcher.launch({ config: {}, environment: {} });
    result = observe(gateway);
    // The test that asks for the result fails with it.
    result.catch(() => undefined);
  }, 60_000);
  afterAll(() => gateway.stop());
  return () => result;
}

/** Sends a request to a server and reads the complete response. */
export async function ask(url: string, path: string, request: AskedRequest = {}): Promise<Answer> {
  const { key, body, headers, method, signal } = request;
  const response = await fetch(`${url}${path}`, {
    method: method ?? (body === undefined ? "GET" : "POST"),
    headers: {
      ...(key !== undefined && { authorization: `Bearer ${key}` }),
      ...(body !== undefined && { "content-type": "application/json" }),
      ...headers,
    },
    ...(body !== undefined && { body: typeof body === "string" ? body : JSON.stringify(body) }),
    ...(signal !== undefined && { signal }),
    redirect: "manual",
  });
  const text = await response.text();
  return { status: response.status, headers: response.headers, text, json: parse(text) };
}

function parse(text: string): Readonly<Record<string, unknown>> {
  try {
    return JSON.parse(text) as Readonly<Record<string, unknown>>;
  } catch {
    return {};
  }
}

function answerAsUpstream(
  { method, target, body: text }: SeenRequest,
  response: Parameters<Parameters<typeof createFakeUpstream>[0]>[1],
  held: (() => void)[],
): void {
  const path = target.split("?")[0] ?? "";
  const send = (status: number, body: unknown): void => {
    response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
  };
  if (method === "POST") {
    const respond = (): void => send(200, { success: true, message: "Message sent." });
    if (text.includes(continuedContent)) response.writeContinue();
    return text.includes(heldContent) ? void held.push(respond) : respond();
  }
  if (path === "/v1/environments") return send(200, { connections: [upstreamRow], hasNextPage: false });
  if (path.endsWith(`/${upstreamRow.deviceId}`)) return send(200, upstreamRow);
  if (path.endsWith(`/${heldDevice}`)) return void held.push(() => send(200, upstreamRow));
  const asked = /\/status-(\d{3})$/.exec(path)?.[1];
  if (asked !== undefined) return send(Number(asked), { message: "No." });
  return send(404, { message: "There is no such environment." });
}
