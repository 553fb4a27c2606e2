import {
  type ApprovalMessage,
  type Environment,
  isLettaEnvironmentsError,
  type SendMessageBody,
  type SendOutcome,
  type UserMessage,
} from "@letta-environments/client";
import { checkSendBody } from "./check-send-body.ts";
import { CommandError } from "./command-error.ts";
import type { CommandContext } from "./commands/command-context.ts";
import { describeFailure } from "./describe-failure.ts";
import type { EnvironmentOperations } from "./environment-operations.ts";
import { exitCodes } from "./exit-code.ts";
import { type DeliveryReport, formatDelivery } from "./format/format-delivery.ts";
import { resolveDevice } from "./resolve-device.ts";
import { startProgress } from "./start-progress.ts";
import { waitUntilOnline } from "./wait-until-online.ts";

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
  const environment =
    target.kind === "device" ? await resolveDevice(operations, target.device, host.clock.now()) : null;
  const online = environment === null ? null : await waitUntilOnline(host, operations, environment, waitMs);
  const connectionId = target.kind === "connection" ? target.connectionId : (online?.connectionId ?? "");
  const report = reportOf(message, connectionId, environment);
  const stop = startProgress(
    host,
    () => `waiting for ${environment?.connectionName ?? "the device"} to take the message…`,
  );
  let outcome: SendOutcome;
  try {
    outcome = await sendToNewest(operations, connectionId, environment, (id) =>
      operations.send(id, body, idempotencyKey),
    );
  } catch (error) {
    await stop();
    const failure = describeFailure(error, { host, parsed, sent: report });
    if (failure.exitCode === exitCodes.unknown) await print({ ...report, outcome: "unknown" });
    throw failure;
  }
  await stop();
  if (outcome === "refused") throw new CommandError(exitCodes.refused, "the device did not take the message");
  await print({ ...report, outcome });

  async function print(shown: DeliveryReport): Promise<void> {
    await host.stdout.write(
      formatDelivery(shown, context.isJson ? "json" : host.stdout.isTerminal ? "text" : "columns"),
    );
  }
}

/** Sends once more when the device turns out to have a new connection: nothing went to the old one. */
async function sendToNewest(
  operations: EnvironmentOperations,
  connectionId: string,
  environment: Environment | null,
  send: (connectionId: string) => Promise<SendOutcome>,
): Promise<SendOutcome> {
  try {
    return await send(connectionId);
  } catch (error) {
    const isReplaced = isLettaEnvironmentsError(error) && /^connection_(?:replaced|not_found)$/.test(error.code);
    if (!isReplaced || environment === null) throw error;
    const latest = await operations.retrieve(environment.deviceId);
    if (latest.connectionId === null || latest.connectionId === connectionId) throw error;
    return await send(latest.connectionId);
  }
}

function reportOf(
  message: UserMessage | ApprovalMessage,
  connectionId: string,
  environment: Environment | null,
): DeliveryReport {
  return {
    outcome: "accepted",
    messageId: "approvals" in message ? null : message.client_message_id,
    connectionId,
    deviceId: environment?.deviceId ?? null,
    connectionName: environment?.connectionName ?? null,
  };
}
