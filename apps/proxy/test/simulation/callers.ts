/**
 * Callers of a simulation: the official SDK and our client as they are, with their own retries, and a caller that sends one request
 * and may leave before the response. Their `fetch` is the simulated network, and their time is the simulated clock.
 */
import Letta from "@letta-ai/letta-client";
import { createClient } from "@letta-environments/client";
import type { PlainResponse } from "@letta-environments/schema";
import type { Clock } from "@letta-environments/platform";
import type { Random, Trace } from "@letta-environments/testkit";
import { parseJsonObject } from "../../src/lib/json.ts";
import type { Network } from "./network.ts";
import { type Attempt, type Message, saysNothingSent, type Truth } from "./truth.ts";

/** A key, and what it permits, as the simulation knows it. */
export interface SimulatedKey {
  readonly name: string;
  readonly tenant: string;
  readonly key: string;
  /** Whether it may send to this device for this agent. */
  readonly maySend: (deviceId: string, agentId: string) => boolean;
  /** Whether it may see what this agent does on this device. */
  readonly reaches: (deviceId: string, agentId: string) => boolean;
}

/** A kind of caller. */
export type CallerKind = "sdk" | "client" | "single";

/** Every {@link CallerKind}. */
export const callerKinds: readonly CallerKind[] = ["sdk", "client", "single"];

/** A send of a caller. */
export interface SendRequest {
  readonly kind: CallerKind;
  readonly key: SimulatedKey;
  readonly connectionId: string;
  readonly messages: readonly Message[];
  /** `Idempotency-Key` of the request; absent without one. */
  readonly idempotencyKey?: string | undefined;
}

/** Makes calls. Each promise resolves when its call has ended, however it ended. */
export interface Callers {
  send(request: SendRequest): Promise<void>;
  list(key: SimulatedKey): Promise<void>;
  retrieve(key: SimulatedKey, deviceId: string): Promise<void>;
  /** Calls that have not ended. */
  readonly running: number;
}

/** The dependencies of {@link Callers}. */
export interface CallersOptions {
  readonly network: Network;
  readonly clock: Clock;
  readonly random: Random;
  readonly trace: Trace;
  readonly truth: Truth;
  /** Receives every response of the gateway, before the network may lose it. */
  readonly onResponse: (observed: ObservedResponse) => void;
}

/** A response of the gateway, and the request that it is for. */
export interface ObservedResponse {
  readonly key: SimulatedKey;
  readonly isSend: boolean;
  /** When the gateway received the request, in monotonic milliseconds. */
  readonly beganAtMs: number;
  readonly response: PlainResponse;
  /** `errorCode` of a problem. */
  readonly code: string | null;
}

const baseUrl = "http://127.0.0.1:1";

/** Creates the callers of a simulation. */
export function createCallers(options: CallersOptions): Callers {
  const { network, clock, random, trace, truth } = options;
  let running = 0;

  /** The `fetch` of one call. `describe` returns the attempt that a request is. */
  function createFetch(key: SimulatedKey, describe: () => Attempt | null) {
    return async (input: string | URL | Request, init?: RequestInit): Promise<Response> => {
      const request = new Request(input, { ...init, signal: null });
      const signal = init?.signal ?? null;
      const { pathname, search } = new URL(request.url);
      const body = typeof init?.body === "string" ? init.body : null;
      const attempt = describe();
      if (attempt !== null) truth.begin(attempt);
      let beganAtMs = 0;
      const response = await network.exchange(
        {
          method: request.method,
          path: pathname,
          query: search.slice(1),
          headers: Object.fromEntries(request.headers),
          body,
          signal,
        },
        {
          onBegin() {
            beganAtMs = clock.monotonic();
            if (attempt !== null) attempt.state = "in_flight";
          },
          onLost() {
            if (attempt !== null) attempt.state = "lost";
          },
          onResponse(plain) {
            const { code, delivery } = readProblem(plain);
            trace.record(`${key.name} ${request.method} ${pathname}: ${plain.status} ${code ?? ""}`);
            options.onResponse({ key, isSend: attempt !== null, beganAtMs, response: plain, code });
            if (attempt === null) return;
            truth.respond(attempt, { status: plain.status, code, saysNothingSent: saysNothingSent(code, delivery) });
          },
        },
      );
      const { status, headers } = response;
      return new Response(response.body as BodyInit | null, { status, headers });
    };
  }

  async function run(name: string, call: () => PromiseLike<unknown>): Promise<void> {
    running += 1;
    try {
      await call();
    } catch (cause) {
      trace.record(`${name} ends with ${cause instanceof Error ? `${cause.name}: ${cause.message}` : String(cause)}`);
    } finally {
      running -= 1;
    }
  }

  return {
    get running() {
      return running;
    },
    send({ kind, key, connectionId, messages, idempotencyKey }) {
      const [first] = messages;
      if (first === undefined) throw new RangeError("a send has messages");
      const isPermitted = messages.every(
        ({ tenant, deviceId, agentId }) => tenant === key.tenant && key.maySend(deviceId, agentId),
      );
      const fetch = createFetch(key, () => ({ messages, isPermitted, state: "unprocessed" }));
      const body = {
        agentId: first.agentId,
        conversationId: first.conversationId,
        messages: messages.map(toBodyMessage),
      };
      const name = `${key.name} (${kind}) sends ${messages.map(({ id }) => id).join(", ")} to ${connectionId}`;
      trace.record(name);
      return run(name, () => {
        if (kind === "client") {
          return createClient({ baseUrl, apiKey: key.key, fetch }).environments.sendMessage(connectionId, body, {
            idempotencyKey,
          });
        }
        if (kind === "sdk") {
          return new Letta({ baseURL: baseUrl, apiKey: key.key, fetch }).environments.sendMessage(connectionId, body, {
            headers: { "idempotency-key": idempotencyKey },
          });
        }
        return sendOnce(fetch, key.key, connectionId, { body, idempotencyKey });
      });
    },
    list: (key) =>
      run(`${key.name} lists`, () =>
        new Letta({ baseURL: baseUrl, apiKey: key.key, fetch: createFetch(key, () => null) }).environments.list(),
      ),
    retrieve: (key, deviceId) =>
      run(`${key.name} reads ${deviceId}`, () =>
        createClient({ baseUrl, apiKey: key.key, fetch: createFetch(key, () => null) }).environments.retrieve(deviceId),
      ),
  };

  async function sendOnce(
    fetch: ReturnType<typeof createFetch>,
    key: string,
    connectionId: string,
    { body, idempotencyKey }: { readonly body: object; readonly idempotencyKey: string | undefined },
  ): Promise<void> {
    const controller = new AbortController();
    if (random.happens(0.2)) clock.setTimer(random.below(2_000), () => controller.abort());
    await fetch(`${baseUrl}/v1/environments/${connectionId}/messages`, {
      method: "POST",
      headers: {
        authorization: `Bearer ${key}`,
        "content-type": "application/json",
        ...(idempotencyKey !== undefined && { "idempotency-key": idempotencyKey }),
      },
      body: JSON.stringify(body),
      signal: controller.signal,
    });
  }
}

function toBodyMessage({ id, text, decision }: Message) {
  return decision === undefined
    ? { role: "user" as const, content: text, client_message_id: id }
    : {
        type: "approval" as const,
        approvals: [{ approve: decision === "allow", tool_call_id: id, reason: text }],
      };
}

/** The code of a problem, `null` if there is none, and what it says about the delivery. */
function readProblem({ status, headers, body }: PlainResponse): {
  readonly code: string | null;
  readonly delivery: unknown;
} {
  const isProblem = status >= 400 && String(headers["content-type"]).startsWith("application/problem+json");
  const problem = isProblem && body !== null ? parseJsonObject(body) : null;
  const code = problem?.["errorCode"];
  return { code: typeof code === "string" ? code : null, delivery: problem?.["delivery"] };
}
