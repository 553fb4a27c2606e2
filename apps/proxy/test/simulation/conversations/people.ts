/**
 * Callers that follow messages, decide on requests for permission, and stop and change conversations, over HTTP. Each response is
 * compared with what the devices know, even if the network loses it on its way to the caller.
 */
import type { Clock } from "@letta-environments/platform";
import type { PlainResponse } from "@letta-environments/schema";
import type { Random, Trace } from "@letta-environments/testkit";
import { parseJsonObject } from "../../../src/lib/json.ts";
import type { SimulatedKey } from "../callers.ts";
import type { Network } from "../network.ts";
import { type Message, messageKey, type Truth } from "../truth.ts";
import { type DeviceRecord, requestKey, type ReportedStatus } from "./record.ts";

/** A request for permission, as the gateway lists it. */
export interface ListedRequest {
  readonly id: string;
  readonly connectionId: string | null;
  readonly deviceId: string;
  readonly agentId: string | null;
  readonly conversationId: string;
  readonly tool: string;
}

/** A conversation at a connection. */
export interface ControlTarget {
  readonly connectionId: string;
  readonly agentId: string;
  readonly conversationId: string;
}

/** See the description of this file. Promises resolve when the call has ended, however it ended. */
export interface People {
  /** Reads the status of a message. Resolves with it, or with `null`. */
  readStatus(key: SimulatedKey, connectionId: string, message: Message): Promise<ReportedStatus | null>;
  listRequests(key: SimulatedKey): Promise<readonly ListedRequest[]>;
  decide(key: SimulatedKey, request: ListedRequest, approve: boolean): Promise<void>;
  control(key: SimulatedKey, target: ControlTarget, operation: "stop" | "mode" | "queue/resume"): Promise<void>;
  removeItem(key: SimulatedKey, connectionId: string, itemId: string): Promise<void>;
}

/** Dependencies of {@link People}. */
export interface PeopleOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly trace: Trace;
  readonly truth: Truth;
  readonly record: DeviceRecord;
  readonly network: Network;
  /** When the present gateway started, in monotonic milliseconds. */
  readonly startedAtMs: () => number;
  /** Receives every response of the gateway, before the network may lose it. */
  readonly onResponse: (key: SimulatedKey, response: PlainResponse) => void;
}

type Body = Readonly<Record<string, unknown>>;

/** Creates {@link People}. */
export function createPeople(options: PeopleOptions): People {
  const { clock, random, trace, truth, record, network } = options;

  /** Sends a request, and passes the response on as it left the gateway. */
  async function call(
    key: SimulatedKey,
    [method, path, body]: readonly [method: string, path: string, body?: object],
    check: (status: number, body: Body, beganAtMs: number) => void,
  ): Promise<void> {
    let beganAtMs = 0;
    const headers = { authorization: `Bearer ${key.key}`, "content-type": "application/json" };
    const [pathname = "", query = ""] = path.split("?");
    const request = { method, path: pathname, query, headers, body: body ? JSON.stringify(body) : null, signal: null };
    try {
      await network.exchange(request, {
        onBegin: () => void (beganAtMs = clock.monotonic()),
        onLost: () => undefined,
        onResponse(response) {
          const parsed = response.body === null ? {} : (parseJsonObject(response.body) ?? {});
          trace.record(`${key.name} ${method} ${path}: ${response.status} ${JSON.stringify(parsed["errorCode"])}`);
          options.onResponse(key, response);
          check(response.status, parsed, beganAtMs);
        },
      });
    } catch (cause) {
      // The network lost it.
      if (!(cause instanceof TypeError)) throw cause;
    }
  }

  function checkListed(key: SimulatedKey, listed: ListedRequest, beganAtMs: number): void {
    const { deviceId, agentId, tool } = listed;
    const known = record.requests.get(requestKey({ tenant: key.tenant, toolCallId: listed.id }));
    const name = `${key.name} is shown ${listed.id} of ${deviceId}`;
    if (!key.maySend(deviceId, agentId ?? "")) return truth.violate(`${name}, which it may not decide on`);
    if (known === undefined) return truth.violate(`${name}, for which no device asked`);
    if (known.deviceId !== deviceId || known.agentId !== (agentId ?? "") || known.tool !== tool)
      return truth.violate(`${name}, which is another one: ${JSON.stringify(listed)}`);
    // A process that was killed may have lost what it knew of a decision, until the device reports.
    const { end } = known;
    if (end?.decision && end.atMs < beganAtMs && end.atMs > options.startedAtMs())
      truth.violate(`${name}, which was decided before`);
  }

  function checkDecision(key: SimulatedKey, request: ListedRequest, approve: boolean, status: number, body: Body) {
    const known = record.requests.get(requestKey({ tenant: key.tenant, toolCallId: request.id }));
    const taken = known?.end?.decision ?? null;
    const wanted = approve ? "allow" : "deny";
    if (status === 200 && taken !== wanted)
      return truth.violate(`200 for ${wanted} of ${request.id}, of which its device took ${taken}`);
    if (body["errorCode"] !== "approval_decided" || taken === null) return;
    const { decision } = (body["approval"] ?? {}) as { readonly decision?: string };
    if (decision !== undefined && decision !== taken)
      truth.violate(`${request.id} is reported as decided with ${decision}, but its device took ${taken}`);
  }

  return {
    async readStatus(key, connectionId, message) {
      let found: ReportedStatus | null = null;
      const { agentId, conversationId, id } = message;
      const wait = random.happens(0.2) ? `&wait=finished&waitSeconds=${random.below(6)}` : "";
      const query = `agentId=${agentId}&conversationId=${conversationId}${wait}`;
      await call(
        key,
        ["GET", `/v1/environments/${connectionId}/messages/${id}?${query}`],
        (status, body, beganAtMs) => {
          if (status !== 200) return;
          if (!key.reaches(message.deviceId, agentId))
            truth.violate(`${key.name} is shown ${messageKey(message)}, which it may not see`);
          found = body as unknown as ReportedStatus;
          record.checkStatus(message, found, beganAtMs);
        },
      );
      return found;
    },
    async listRequests(key) {
      let found: readonly ListedRequest[] = [];
      await call(key, ["GET", "/v1/environments/approvals"], (status, body, beganAtMs) => {
        if (status !== 200) return;
        found = body["approvals"] as readonly ListedRequest[];
        for (const listed of found) checkListed(key, listed, beganAtMs);
      });
      return found;
    },
    async decide(key, request, approve) {
      const { id, connectionId, agentId, conversationId } = request;
      if (connectionId === null) return;
      const approvals = [{ approve, tool_call_id: id, ...(!approve && { reason: `no to ${id}` }) }];
      const body = { agentId: agentId ?? undefined, conversationId, messages: [{ type: "approval", approvals }] };
      await call(key, ["POST", `/v1/environments/${connectionId}/messages`, body], (status, answer) =>
        checkDecision(key, request, approve, status, answer),
      );
    },
    async control(key, { connectionId, ...conversation }, operation) {
      const body = {
        ...conversation,
        ...(operation === "mode" && { mode: random.pick(["standard", "unrestricted"]) }),
      };
      await call(key, ["POST", `/v1/environments/${connectionId}/${operation}`, body], () => undefined);
    },
    async removeItem(key, connectionId, itemId) {
      const query = `agentId=${random.pick(["agent-1", "agent-2"])}&conversationId=default`;
      await call(key, ["DELETE", `/v1/environments/${connectionId}/queue/${itemId}?${query}`], () => undefined);
    },
  };
}
