/** The delivery of one message: finds the device, sends, waits, and prints the outcome. */
import {
  type ApprovalMessage,
  isLettaEnvironmentsError,
  type SendMessageBody,
  type UserMessage,
} from "@letta-environments/client";
import { CommandError, formatColumns, misuse, quoteForShell } from "@letta-environments/command-line";
import { checkValue, SendMessageBodySchema } from "@letta-environments/schema";
import { type CommandContext, printResult } from "./context.ts";
import { findDevice, type FoundDevice } from "./device.ts";
import { exitCodes } from "./exit-code.ts";
import { describeFailure, offlineError, type SentRequest } from "./failure.ts";
import { type DeliveryReport, formatDelivery } from "./format/delivery.ts";
import type { EnvironmentOperations, SendSettings, Sent } from "./operations.ts";
import { startProgress } from "./progress.ts";

/** The recipient of a message. */
export type Target =
  | { readonly kind: "device"; readonly device: string }
  | { readonly kind: "connection"; readonly connectionId: string };

/** One message, and how to send it. */
export interface Delivery {
  readonly target: Target;
  readonly message: UserMessage | ApprovalMessage;
  /** How long to wait for an offline device, in milliseconds; `null`: not at all. */
  readonly waitMs: number | null;
  readonly idempotencyKey: string | undefined;
  /** Reports the outcome. Default: on standard output. */
  readonly report?: (report: DeliveryReport) => Promise<void>;
}

/** Sends a message, reports its outcome, and resolves with it when a device has accepted it. Rejects with a `CommandError`. */
export async function deliver(
  context: CommandContext,
  operations: EnvironmentOperations,
  { target, message, waitMs, idempotencyKey, report: print = (report) => printReport(context, report) }: Delivery,
  device?: FoundDevice,
): Promise<DeliveryReport> {
  const { host, option } = context;
  const body = buildBody(message, option("agent"), option("conversation"), optionOfMember);
  const found =
    target.kind === "device"
      ? (device ?? (await findDevice(operations, target.device, "online", waitMs !== null)))
      : null;
  let isSent = false;
  const settings: SendSettings = { idempotencyKey, waitMs: waitMs ?? 0, onSend: () => void (isSent = true) };
  const stop = startProgress(host, (elapsedMs) => {
    const leftMs = isSent || waitMs === null ? null : Math.max(0, waitMs - elapsedMs);
    return describeWait(found?.environment.connectionName ?? "the device", leftMs);
  });
  let sent: Sent;
  try {
    sent =
      target.kind === "connection"
        ? await operations.send(target.connectionId, body, settings)
        : await operations.sendToDevice(found?.selector ?? target.device, body, settings);
  } catch (error) {
    await stop();
    if (found !== null) throwIfOffline(error, found, waitMs, operations.now());
    // After the message has left, only a response shows that it was refused. An interruption alone shows nothing.
    const isUnknown = isSent && isLettaEnvironmentsError(error) && error.outcome !== "refused";
    const connectionId = target.kind === "connection" ? target.connectionId : (found?.environment.connectionId ?? "");
    const report = reportOf(message, connectionId, found);
    const failure = describeFailure(error, context, isUnknown ? sentMessage(report) : undefined);
    if (failure.exitCode === exitCodes.unknown) await print({ ...report, outcome: "unknown" });
    throw failure;
  }
  await stop();
  const { outcome, connectionId } = sent;
  if (outcome === "refused") throw new CommandError("the device did not accept the message", exitCodes.refused);
  const report = { ...reportOf(message, connectionId, found), outcome };
  await print(report);
  return report;
}

function sentMessage({ messageId }: DeliveryReport): SentRequest {
  return messageId === null
    ? { what: "decision", hint: "A decision cannot be repeated safely: check what the device did first." }
    : {
        what: "message",
        hint: `Repeat the same command with --message-id ${quoteForShell(messageId)} to get the outcome; the message runs once.`,
      };
}

function printReport(context: CommandContext, report: DeliveryReport): Promise<void> {
  const { outcome, messageId, connectionId, deviceId } = report;
  return printResult(context, {
    json: { outcome, messageId, deviceId, connectionId },
    people: () => formatDelivery(report),
    columns: () => formatColumns([outcome, messageId ?? "", deviceId ?? ""]),
  });
}

const optionOfMember: Readonly<Record<string, string>> = {
  agentId: "--agent",
  conversationId: "--conversation",
  "messages[0].content": "MESSAGE",
  "messages[0].client_message_id": "--message-id",
  "messages[0].approvals[0].tool_call_id": "--request",
  "messages[0].approvals[0].reason": "--reason",
};

/**
 * The request body, checked against the rules of the API before any request.
 *
 * @param names of members, as the user knows them
 * @throws CommandError naming the member and the rule
 */
export function buildBody(
  message: UserMessage | ApprovalMessage,
  agentId: string | undefined,
  conversationId: string | undefined,
  names: Readonly<Record<string, string>> = {},
): SendMessageBody {
  const body: SendMessageBody = {
    messages: [message],
    ...(agentId !== undefined && { agentId }),
    ...(conversationId !== undefined && { conversationId }),
  };
  const checked = checkValue(SendMessageBodySchema, body, "body");
  if (checked.ok) return body;
  throw misuse(checked.issues.map(({ member, rule }) => `${names[member] ?? member} ${rule}`).join("; "));
}

/** @param leftMs how much longer to wait for the device; `null` once the message has left */
function describeWait(name: string, leftMs: number | null): string {
  if (leftMs === null) return `waiting for ${name} to accept the message…`;
  return `waiting for ${name} to come online… ${Math.round(leftMs / 1_000)}s left`;
}

/** @throws CommandError if the client found the device offline and sent nothing */
function throwIfOffline(error: unknown, { environment }: FoundDevice, waitMs: number | null, nowMs: number): void {
  if (!isLettaEnvironmentsError(error) || error.code !== "device_offline" || error.status !== undefined) return;
  const [latest = environment] = error.environments ?? [];
  throw waitMs === null
    ? offlineError(latest, nowMs, { details: ["--wait-online waits for it."] })
    : offlineError(latest, nowMs, { waited: true });
}

function reportOf(
  message: UserMessage | ApprovalMessage,
  connectionId: string,
  found: FoundDevice | null,
): DeliveryReport {
  return {
    outcome: "accepted",
    messageId: "approvals" in message ? null : message.client_message_id,
    connectionId,
    deviceId: found?.environment.deviceId ?? null,
    connectionName: found?.environment.connectionName ?? null,
  };
}
