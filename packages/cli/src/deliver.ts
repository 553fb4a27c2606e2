import {
  type ApprovalMessage,
  isLettaEnvironmentsError,
  type SendMessageBody,
  type UserMessage,
} from "@letta-environments/client";
import { checkSendBody } from "./check-send-body.ts";
import { CommandError } from "./command-error.ts";
import type { CommandContext } from "./commands/command-context.ts";
import { describeFailure } from "./describe-failure.ts";
import type { EnvironmentOperations, SendSettings, Sent } from "./environment-operations.ts";
import { exitCodes } from "./exit-code.ts";
import { formatAge } from "./format/format-age.ts";
import { type DeliveryReport, formatDelivery } from "./format/format-delivery.ts";
import { type ResolvedDevice, resolveDevice } from "./resolve-device.ts";
import { startProgress } from "./start-progress.ts";

/** Where messages go. */
export type Target =
  | { readonly kind: "device"; readonly device: string }
  | { readonly kind: "connection"; readonly connectionId: string };

/** One message, and how it is to be sent. */
export interface Delivery {
  readonly target: Target;
  readonly message: UserMessage | ApprovalMessage;
  /** How long an offline device is waited for, in milliseconds; `null`: not at all. */
  readonly waitMs: number | null;
  readonly idempotencyKey: string | undefined;
}

/** Sends a message, prints its outcome, and resolves when a device has taken it. Rejects with a `CommandError`. */
export async function deliver(
  context: CommandContext,
  operations: EnvironmentOperations,
  { target, message, waitMs, idempotencyKey }: Delivery,
): Promise<void> {
  const { host, option, parsed } = context;
  const agentId = option("agent");
  const conversationId = option("conversation");
  const body: SendMessageBody = {
    messages: [message],
    ...(agentId !== undefined && { agentId }),
    ...(conversationId !== undefined && { conversationId }),
  };
  checkSendBody(body);
  const found = target.kind === "device" ? await resolveDevice(operations, target.device) : null;
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
    if (found !== null) refuseOffline(error, found, waitMs, operations.now());
    // Of a message that left, an interruption alone tells nothing: whether it was refused is known only from an answer.
    const isUnknown = isSent && isLettaEnvironmentsError(error) && error.outcome !== "refused";
    const connectionId = target.kind === "connection" ? target.connectionId : (found?.environment.connectionId ?? "");
    const report = reportOf(message, connectionId, found);
    const failure = describeFailure(error, { host, parsed, ...(isUnknown ? { sent: report } : {}) });
    if (failure.exitCode === exitCodes.unknown) await print({ ...report, outcome: "unknown" });
    throw failure;
  }
  await stop();
  const { outcome, connectionId } = sent;
  if (outcome === "refused") throw new CommandError(exitCodes.refused, "the device did not take the message");
  await print({ ...reportOf(message, connectionId, found), outcome });

  async function print(shown: DeliveryReport): Promise<void> {
    await host.stdout.write(
      formatDelivery(shown, context.isJson ? "json" : host.stdout.isTerminal ? "text" : "columns"),
    );
  }
}

/** @param leftMs How much longer the device is waited for; `null` while the message is on its way. */
function describeWait(name: string, leftMs: number | null): string {
  if (leftMs === null) return `waiting for ${name} to take the message…`;
  return `waiting for ${name} to come online… ${Math.round(leftMs / 1_000)}s left`;
}

/** @throws CommandError when the error is that the client saw the device offline, and sent nothing. */
function refuseOffline(error: unknown, { environment }: ResolvedDevice, waitMs: number | null, nowMs: number): void {
  if (!isLettaEnvironmentsError(error) || error.code !== "device_offline" || error.status !== undefined) return;
  const [{ connectionName, lastSeenAt } = environment] = error.environments ?? [];
  const waited = waitMs === null ? "" : " and did not come back in time";
  throw new CommandError(
    exitCodes.offline,
    `${connectionName} is offline${waited} (last seen ${formatAge(lastSeenAt, nowMs)}); nothing was sent`,
    waitMs === null ? ["--wait-online waits for it."] : [],
  );
}

function reportOf(
  message: UserMessage | ApprovalMessage,
  connectionId: string,
  found: ResolvedDevice | null,
): DeliveryReport {
  return {
    outcome: "accepted",
    messageId: "approvals" in message ? null : message.client_message_id,
    connectionId,
    deviceId: found?.environment.deviceId ?? null,
    connectionName: found?.environment.connectionName ?? null,
  };
}
