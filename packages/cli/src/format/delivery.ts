/** The outcome of a message as text or JSON, for all commands that send. Turns that follow are printed in `follow/`. */
import { formatColumns, formatJson, printable } from "@letta-environments/command-line";

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

/** The outcome of a send: for people, as columns (outcome, message id, deviceId), or as JSON. */
export function formatDelivery(report: DeliveryReport, format: "text" | "columns" | "json"): string {
  const { outcome, messageId, connectionId, deviceId, connectionName } = report;
  if (format === "json") return formatJson({ outcome, messageId, deviceId, connectionId });
  if (format === "columns") return formatColumns([outcome, messageId ?? "", deviceId ?? ""]);
  const device = printable(connectionName ?? connectionId);
  const id = messageId === null ? "" : `  Message id: ${printable(messageId)}`;
  return `${sentences[outcome](device)}${id}\n`;
}
