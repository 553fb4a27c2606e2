/** Many sends of the official SDK, with its own retries, through random faults on both hops and of the device's socket. */
import Letta, { APIError } from "@letta-ai/letta-client";
import { createRandom, type Fault, faultPoints, type Random } from "@letta-environments/testkit";
import { parseJsonObject } from "../../src/lib/json.ts";
import { type Counts, noCounts, saysNothingSent } from "../simulation/truth.ts";
import type { GatewayUnderFaults } from "./gateway-under-faults.ts";

/** The result of many sends. */
export interface RandomFaultsResult {
  readonly counts: Readonly<Counts>;
  /** Faults that happened. */
  readonly faults: number;
  /** Sends whose response contradicts what was delivered. */
  readonly contradictions: readonly string[];
}

/** Sends that are in flight at the same time: few enough that most arrive even if the device is slow, and its socket breaks. */
const concurrency = 25;
/** The socket of the device breaks once for this many sends. */
const sendsPerDrop = 120;
/** Probability that an exchange breaks on a hop. After five failures in a row, the gateway refuses sends for a second. */
const faultRates = { caller: 0.2, upstream: 0.1 };

/** Sends this many messages, and counts their outcomes. */
export async function sendThroughFaults(
  gateway: GatewayUnderFaults,
  count: number,
  seed: number,
): Promise<RandomFaultsResult> {
  const random = createRandom(seed);
  const counts: Counts = { ...noCounts };
  const contradictions: string[] = [];
  let faults = 0;
  let dropped: Promise<void> = Promise.resolve();
  gateway.chooseFault = (hop) => {
    const fault = random.happens(faultRates[hop]) ? pickFault(random) : null;
    if (fault !== null) faults += 1;
    return fault;
  };
  const client = new Letta({
    baseURL: gateway.callerProxy.url,
    apiKey: gateway.key,
    timeout: 2_500,
    maxRetries: 2,
    fetch: async (input, init) => {
      const response = await fetch(input, init);
      if (!(await isTyped(response.clone()))) counts.untyped += 1;
      return response;
    },
  });

  async function sendOne(number: number): Promise<void> {
    const id = `random-${seed}-${number}`;
    if (number % sendsPerDrop === sendsPerDrop - 1) dropped = gateway.dropDevice();
    // Sends that are on their way are hit, and no others.
    await dropped;
    const outcome = await sendWithSdk(client, gateway.connectionId, id);
    counts.sends += 1;
    const deliveries = gateway.deliveries.get(id) ?? 0;
    if (outcome === "unknown") counts.unknown += 1;
    if (outcome === "success" && deliveries === 0) contradictions.push(`${id}: success without a delivery`);
    if (outcome === "refused" && deliveries > 0) contradictions.push(`${id}: refused, and delivered`);
  }

  let next = 0;
  await Promise.all(
    Array.from({ length: concurrency }, async () => {
      while (next < count) await sendOne(next++);
    }),
  );
  gateway.chooseFault = () => null;
  for (const [id, deliveries] of gateway.deliveries) {
    if (!id.startsWith(`random-${seed}-`)) continue;
    counts.delivered += 1;
    if (deliveries > 1) counts.doubled += 1;
  }
  return { counts, faults, contradictions };
}

function pickFault(random: Random): Fault {
  // A stall takes as long as the timeouts.
  const effect = random.pickWeighted([
    [10, "reset"],
    [10, "close"],
    [1, "stall"],
  ] as const);
  return { point: random.pick(faultPoints), effect };
}

/** Whether a response is a success or a problem with a code. A response whose body the network cuts counts as one. */
async function isTyped(response: Response): Promise<boolean> {
  if (response.ok) return true;
  try {
    return typeof parseJsonObject(await response.text())?.["errorCode"] === "string";
  } catch {
    return true;
  }
}

/**
 * `refused`: the message will never be delivered under this id. `unsent`: the last attempt sent nothing, such as to a device that is
 * offline. `unknown`: it may be running.
 */
type SendOutcome = "success" | "refused" | "unsent" | "unknown";

async function sendWithSdk(client: Letta, connectionId: string, id: string): Promise<SendOutcome> {
  try {
    const messages = [{ role: "user" as const, content: id, client_message_id: id }];
    await client.environments.sendMessage(connectionId, { agentId: "agent-1", messages });
    return "success";
  } catch (cause) {
    // A connection that breaks inside a body is a TypeError of `fetch`.
    if (!(cause instanceof APIError || cause instanceof TypeError)) throw cause;
    if (!(cause instanceof APIError)) return "unknown";
    if (cause.status === 422 || cause.status === 404) return "refused";
    const { errorCode, delivery } = (cause.error ?? {}) as { readonly errorCode?: string; readonly delivery?: unknown };
    return saysNothingSent(errorCode ?? null, delivery) ? "unsent" : "unknown";
  }
}
