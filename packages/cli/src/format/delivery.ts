/** The outcome of a message in words, for all commands that send. Turns that follow are printed in `follow/`. */
import { printable } from "@letta-environments/command-line";

/** The outcome of a message. */
export interface DeliveryReport {
  /** As the device reported it; `duplicate`: the message id was known, and nothing ran again. */
  readonly outcome: "started" | "queued" | "accepted" | "duplicate" | "unknown";
  /** `null` for a decision, which has no id. */
  readonly messageId: string | null;
  readonly connectionId: string;
  /** `null` if the message was sent to a connectionId. */
  readonly deviceId: string | null;
  readonly connectionName: string | null;
}

const sentences: Readonly<Record<DeliveryReport["outcome"], (device: string) => string>> = {
  started: (device) => `Started by ${device}.`,
  queued: (device) => `Queued by ${device}.`,
  accepted: (device) => `Accepted by ${device}.`,
  duplicate: (device) => `Already accepted by ${device}; nothing ran again.`,
  unknown: (device) => `It is unknown whether ${device} received it.`,
};

/** The outcome of a send, for people. */
export function formatDelivery({ outcome, messageId, connectionId, connectionName }: DeliveryReport): string {
  const device = printable(connectionName ?? connectionId);
  const id = messageId === null ? "" : `  Message id: ${printable(messageId)}`;
  return `${sentences[outcome](device)}${id}\n`;
}
