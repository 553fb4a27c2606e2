import { formatColumns } from "./format-columns.ts";
import { formatJson } from "./format-json.ts";
import { printable } from "./printable.ts";

/** What became of a message. */
export interface DeliveryReport {
  /** What the device said; `duplicate`: the message id was known, and nothing was done again. */
  readonly outcome: "started" | "queued" | "accepted" | "duplicate" | "unknown";
  /** `null` for a decision, which has no id. */
  readonly messageId: string | null;
  readonly connectionId: string;
  /** `null` when the message went to a connectionId. */
  readonly deviceId: string | null;
  readonly connectionName: string | null;
}

const sentences: Readonly<Record<DeliveryReport["outcome"], (device: string) => string>> = {
  started: (device) => `Started by ${device}.`,
  queued: (device) => `Queued by ${device}.`,
  accepted: (device) => `Taken by ${device}.`,
  duplicate: (device) => `Taken by ${device} before; nothing was done again.`,
  unknown: (device) => `Unknown whether ${device} took it.`,
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
