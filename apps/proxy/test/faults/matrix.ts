/** Every fault on one hop, for every operation, on new and reused connections; and what must be true of each. */
import { type Fault, faultEffects, faultPoints } from "@letta-environments/testkit";
import { parseJsonObject } from "../../src/lib/json.ts";
import { saysNothingSent } from "../simulation/truth.ts";
import type { GatewayUnderFaults, Hop } from "./gateway-under-faults.ts";
import { call, type CallOutcome, codeOf, type RawCall } from "./raw-caller.ts";

/** One fault of the matrix. */
export interface FaultCase extends Fault {
  readonly hop: Hop;
  readonly operation: Operation;
  readonly isReused: boolean;
  /** Names the call on both hops, and its message. */
  readonly id: string;
}

type Operation = "get" | "list" | "send";

/** Every {@link Operation}. */
export const operations: readonly Operation[] = ["get", "list", "send"];

/** How a case ended. */
export interface CaseResult {
  readonly outcome: CallOutcome;
  /** How often the message was received. */
  readonly deliveries: number;
  /** On which kind of connection the fault happened; `null` when it did not happen. */
  readonly struckReused: boolean | null;
  /** The outcome of the same request, sent again afterwards. */
  readonly repeated: string | null;
}

/** Longest wait of a caller, in milliseconds: longer than the gateway's own timeouts in these tests. */
const callerTimeoutMs = 10_000;
/** The wait on a hop of callers that stalls, in milliseconds. */
const stalledMs = 300;

/** Every case of a hop. */
export function faultCases(hop: Hop): readonly FaultCase[] {
  return faultEffects.flatMap((effect) =>
    [false, true].flatMap((isReused) =>
      faultPoints.flatMap((point) =>
        operations.map((operation): FaultCase => {
          const id = `${hop}-${operation}-${point}-${effect}-${isReused ? "reused" : "new"}`;
          return { hop, operation, point, effect, isReused, id };
        }),
      ),
    ),
  );
}

/**
 * Splits cases into groups that may fail together: after five failures of the upstream in a row, the gateway leaves it alone for a second.
 * Of the five cases of an operation that stall, one succeeds. Any other can fail, on some runtimes also after the response.
 */
export function groupCases(cases: readonly FaultCase[]): readonly (readonly FaultCase[])[] {
  if (cases.every(({ hop }) => hop === "caller")) return [cases];
  const size = cases.some(({ effect }) => effect !== "stall") ? 3 : faultPoints.length;
  return operations.flatMap((operation) => {
    const ofOperation = cases.filter((fault) => fault.operation === operation);
    return Array.from({ length: Math.ceil(ofOperation.length / size) }, (_, index) =>
      ofOperation.slice(index * size, (index + 1) * size),
    );
  });
}

/**
 * Runs cases at the same time. On the hop of the upstream, connections are closed before, or opened by as many reads, so that each
 * case has a connection of its kind.
 */
export async function runCases(
  gateway: GatewayUnderFaults,
  cases: readonly FaultCase[],
): Promise<ReadonlyMap<FaultCase, CaseResult>> {
  const waiting = new Map(cases.map((fault) => [fault.id, fault]));
  const struck = new Map<string, boolean>();
  gateway.chooseFault = (hop, { head, isReused }) => {
    const id = /^x-request-id: *(\S+)/im.exec(head)?.[1] ?? "";
    const fault = waiting.get(id);
    if (fault === undefined || fault.hop !== hop || head.startsWith("POST") !== (fault.operation === "send"))
      return null;
    waiting.delete(id);
    struck.set(id, isReused);
    return fault;
  };
  const [first] = cases;
  if (first?.hop === "upstream") await prepareConnections(gateway, first.isReused ? cases.length : 0);
  const outcomes = await Promise.all(cases.map((fault) => callOnce(gateway, fault)));
  // The network drops what has stalled. Until then, an idle connection that is dead looks like any other.
  await gateway.upstreamProxy?.closeConnections();
  // A request that never reached its hop must not meet its fault when it is repeated.
  waiting.clear();
  const results = new Map<FaultCase, CaseResult>();
  for (const [index, fault] of cases.entries()) {
    const outcome = outcomes[index] ?? { kind: "closed" };
    const repeated = fault.operation === "send" ? codeOf(await repeat(gateway, fault)) : null;
    const deliveries = gateway.deliveries.get(fault.id) ?? 0;
    results.set(fault, { outcome, deliveries, repeated, struckReused: struck.get(fault.id) ?? null });
  }
  return results;
}

async function prepareConnections(gateway: GatewayUnderFaults, count: number): Promise<void> {
  await gateway.upstreamProxy?.closeConnections();
  gateway.upstream?.expectWarmReads(count);
  const warm: RawCall = { ...requestOf(gateway, "get", "warm-up"), target: "/v1/environments/warm" };
  await Promise.all(Array.from({ length: count }, () => call(gateway.callerProxy.port, [warm], callerTimeoutMs)));
}

function callOnce(
  gateway: GatewayUnderFaults,
  { hop, operation, effect, isReused, id }: FaultCase,
): Promise<CallOutcome> {
  const request = requestOf(gateway, operation, id);
  const calls = hop === "caller" && isReused ? [requestOf(gateway, "get", "before"), request] : [request];
  return call(
    gateway.callerProxy.port,
    calls,
    callerTimeoutMs,
    hop === "caller" && effect === "stall" ? stalledMs : callerTimeoutMs,
  );
}

/** Sends a message again, as a caller does that does not know its outcome. */
function repeat(gateway: GatewayUnderFaults, { operation, id }: FaultCase): Promise<CallOutcome> {
  return call(gateway.callerProxy.port, [requestOf(gateway, operation, id)], callerTimeoutMs);
}

/** The request of an operation. Its id is also the id of its message. */
export function requestOf(
  { key, deviceId, connectionId }: GatewayUnderFaults,
  operation: Operation,
  id: string,
): RawCall {
  const common = { key, requestId: id };
  switch (operation) {
    case "list":
      return { ...common, method: "GET", target: "/v1/environments" };
    case "get":
      return { ...common, method: "GET", target: `/v1/environments/${deviceId}` };
    case "send": {
      const messages = [{ role: "user", content: "hello", client_message_id: id }];
      const body = { agentId: "agent-1", messages };
      return { ...common, method: "POST", target: `/v1/environments/${connectionId}/messages`, body };
    }
  }
}

/** The rules that the result of a case breaks. */
export function violationsOf(fault: FaultCase, { outcome, deliveries, repeated }: CaseResult): readonly string[] {
  const broken: string[] = [];
  const code = codeOf(outcome);
  if (deliveries > 1) broken.push(`was delivered ${deliveries} times`);
  if (code === null) broken.push(`the response is not typed: ${JSON.stringify(outcome)}`);
  if (fault.hop === "upstream" && outcome.kind !== "response")
    broken.push(`the caller got no response: ${outcome.kind}`);
  if (fault.operation !== "send") return broken;
  if (code === "success" && deliveries === 0) broken.push("success without a delivery");
  // The repeat may have delivered it by now.
  const mayRepeat = outcome.kind === "response" && saysNothingSent(code, parseJsonObject(outcome.body)?.["delivery"]);
  if (repeated === "success" && deliveries === 0) broken.push("a repeat succeeds without a delivery");
  if (mayRepeat && repeated !== "success") broken.push(`nothing was sent, but a repeat ends with ${repeated}`);
  if (code === "success" && repeated !== "success") broken.push(`a repeat of a success ends with ${repeated}`);
  if (code === "delivery_unknown" && repeated !== "delivery_unknown" && repeated !== "success") {
    broken.push(`a repeat of an unknown outcome ends with ${repeated}`);
  }
  if (fault.hop === "caller" && repeated !== "success")
    broken.push(`after a fault of the caller, a repeat ends with ${repeated}`);
  return broken;
}
