/** A topic: requests to one gateway, in order, whose responses are recorded in one file. */
import { fakeRequest } from "../support/fake-request.ts";
import type { KeyRequest } from "../../src/keys/key-lifecycle.ts";
import { type GatewayOptions, openGateway, operatorToken, type RecordedGateway } from "./gateway.ts";

/** One request. */
export interface RecordedRequest {
  /** Unique in its topic. */
  readonly title: string;
  /** Name of one of the topic's keys, or another credential; no credential if absent. */
  readonly as?: string;
  readonly method?: string;
  readonly path?: string;
  readonly query?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** A text or bytes as they are; anything else as JSON. */
  readonly body?: unknown;
  /** Where it arrives; absent: on the main listener. `upgrade`: as a request for a WebSocket. */
  readonly via?: "adminListener" | "upgrade";
  /** Changes the surroundings before the request. */
  readonly before?: (gateway: RecordedGateway) => void | Promise<void>;
  /** Time that passes while the request waits, in milliseconds. */
  readonly whileWaitingMs?: number;
  /** The caller goes away while the request waits. */
  readonly isAbandoned?: boolean;
}

/** A topic. */
export interface Topic {
  readonly name: string;
  readonly gateway: GatewayOptions;
  /** Each request has its own gateway, because a gateway remembers that its upstream failed. */
  readonly isolatesRequests?: boolean;
  /** Keys by the name under which requests use them. */
  readonly keys: Readonly<Record<string, Partial<KeyRequest>>>;
  /** Signed tokens by name. */
  readonly tokens?: Readonly<Record<string, (gateway: RecordedGateway) => Promise<string>>>;
  readonly requests: readonly RecordedRequest[];
}

/** Headers of almost every response. A recording names those that differ, and `null` for one that is missing. */
const usualHeaders: Readonly<Record<string, string>> = {
  "cache-control": "private, no-store",
  "x-content-type-options": "nosniff",
  "x-request-id": "<request id>",
};

/** A response as it is recorded. */
export interface RecordedResponse {
  readonly status: number;
  /** Without {@link usualHeaders}. */
  readonly headers: Readonly<Record<string, string | null>>;
  /** Parsed when it is JSON. */
  readonly body: unknown;
}

/** Sends the requests of a topic and returns the responses by title. */
export async function runTopic(topic: Topic): Promise<Readonly<Record<string, RecordedResponse>>> {
  const credentials = new Map<string, string>([["operator", operatorToken]]);
  const masks = new Map<string, string>();
  const open = async (): Promise<RecordedGateway> => {
    const opened = await openGateway(topic.gateway);
    for (const [name, keyRequest] of Object.entries(topic.keys)) {
      const { key, record } = await opened.issueKey({ name, ...keyRequest });
      credentials.set(name, key);
      masks.set(key, `<key ${name}>`).set(record.id, `<id ${name}>`);
    }
    return opened;
  };
  let gateway = await open();
  for (const [name, sign] of Object.entries(topic.tokens ?? {})) credentials.set(name, await sign(gateway));
  const unmasked = (text: string): string => {
    for (const [value, mask] of masks) text = text.replaceAll(mask, value);
    return text;
  };

  const responses: Record<string, RecordedResponse> = {};
  for (const request of topic.requests) {
    if (topic.isolatesRequests === true) gateway = await open();
    if (request.title in responses) throw new Error(`${topic.name} has two requests titled ${request.title}`);
    const response = await send(gateway, request, credentials, unmasked);
    learn(masks, credentials, response.body);
    responses[request.title] = masked(response, masks);
  }
  return responses;
}

async function send(
  gateway: RecordedGateway,
  request: RecordedRequest,
  credentials: ReadonlyMap<string, string>,
  unmasked: (text: string) => string,
): ReturnType<RecordedGateway["handle"]> {
  await request.before?.(gateway);
  const { as, method = "GET", path = "/v1/environments", query = "", headers, body, via } = request;
  const caller = new AbortController();
  const bytes =
    body === undefined || typeof body === "string" || body instanceof Uint8Array ? body : JSON.stringify(body);
  const sent = fakeRequest({
    method,
    path: unmasked(path),
    query: unmasked(query),
    signal: caller.signal,
    ...(as !== undefined && { key: credentials.get(as) ?? as }),
    headers: {
      host: "gateway.example",
      ...(bytes !== undefined && { "content-type": "application/json" }),
      ...(headers !== undefined && (JSON.parse(unmasked(JSON.stringify(headers))) as Record<string, string>)),
    },
    ...(bytes !== undefined && { body: bytes }),
  });
  const route = via === "adminListener" ? gateway.handleAdmin : via === "upgrade" ? gateway.upgrade : gateway.handle;
  const waiting = route(sent);
  if (request.isAbandoned === true) {
    await gateway.clock.advance(0);
    caller.abort();
  }
  await gateway.clock.advance(request.whileWaitingMs ?? 0);
  return waiting;
}

/** Masks keys that the gateway has made, and lets later requests use them as `created-1` and so on. */
function learn(masks: Map<string, string>, credentials: Map<string, string>, body: unknown): void {
  const value = parse(textOf(body));
  if (typeof value !== "object" || value === null || !("key" in value) || !("id" in value)) return;
  if (typeof value.key !== "string" || typeof value.id !== "string") return;
  const name = `created-${[...credentials.keys()].filter((known) => known.startsWith("created-")).length + 1}`;
  credentials.set(name, value.key);
  masks.set(value.key, `<key ${name}>`);
  if (!masks.has(value.id)) masks.set(value.id, `<id ${name}>`);
}

function masked(
  { status, headers, body }: Awaited<ReturnType<RecordedGateway["handle"]>>,
  masks: ReadonlyMap<string, string>,
): RecordedResponse {
  const mask = (text: string): string => {
    for (const [value, replacement] of masks) text = text.replaceAll(value, replacement);
    // A strong tag is a digest of more than the response shows.
    return text.replaceAll(/\breq-\d{4}\b/g, "<request id>").replaceAll(/^"[0-9a-f]{32}"$/g, "<entity tag>");
  };
  const missing = Object.keys(usualHeaders).map((name) => [name, null] as const);
  const shown = Object.entries(headers).map(([name, value]) => [name, mask(value)] as const);
  const recorded = Object.entries(Object.fromEntries<string | null>([...missing, ...shown]))
    .filter(([name, value]) => value !== usualHeaders[name])
    .toSorted(([left], [right]) => (left < right ? -1 : 1));
  return {
    status,
    headers: Object.fromEntries(recorded),
    body: body === null ? null : parse(mask(textOf(body))),
  };
}

function textOf(body: unknown): string {
  return body instanceof Uint8Array ? new TextDecoder().decode(body) : typeof body === "string" ? body : "";
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
