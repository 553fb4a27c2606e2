import { formatColumns } from "./format-columns.ts";
import { formatJson } from "./format-json.ts";
import { printable } from "./printable.ts";

/** What became of a message. */
export interface DeliveryReport {
  readonly outcome: "accepted" | "unknown";
  /** `null` for a decision, which has no id. */
  readonly messageId: string | null;
  readonly connectionId: string;
  /** `null` when the message went to a connectionId. */
  readonly deviceId: string | null;
  readonly connectionName: string | null;
}

/** The outcome of a send: for people, as columns (outcome, message id, deviceId), or as JSON. */
export function formatDelivery(report: DeliveryReport, format: "text" | "columns" | "json"): string {
  const { outcome, messageId, connectionId, deviceId, connectionName } = report;
  if (format === "json") return formatJson({ outcome, messageId, deviceId, connectionId });
  if (format === "columns") return formatColumns([outcome, messageId ?? "", deviceId ?? ""]);
  const device = printable(connectionName ?? connectionId);
  const id = messageId === null ? "" : `  Message id: ${printable(messageId)}`;
  return outcome === "accepted" ? `Taken by ${device}.${id}\n` : `Unknown whether ${device} took it.${id}\n`;
}
