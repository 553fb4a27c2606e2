/** Turns errors of the client into the texts and exit codes of this program. */
import {
  type Environment,
  type EnvironmentsError,
  isLettaEnvironmentsError,
  type LettaEnvironmentsError,
  type ProblemIssue,
} from "@letta-environments/client";
import { CommandError, formatAge } from "@letta-environments/command-line";
import { type CommandContext, optionOf, type ParsedLine } from "./context.ts";
import { deviceLines } from "./device.ts";
import { exitCodeOf, exitCodeOfSignal, exitCodes } from "./exit-code.ts";
import type { Host } from "./host.ts";
import { addressOf } from "./settings.ts";

/** A request that has left. */
export interface SentRequest {
  readonly what: "message" | "decision" | "request";
  /** A sentence that says how to find out its outcome. */
  readonly hint: string;
}

/** The decision of a call that failed, if the device may have received it. */
export function sentDecision(error: unknown): SentRequest | undefined {
  if (!isLettaEnvironmentsError(error) || error.outcome !== "unknown") return undefined;
  return { what: "decision", hint: "'letta-env approvals' shows whether the request still waits." };
}

/** Describes the decision that came first, from the error of a later one; `null` for any other error. */
export function describeDecision(error: EnvironmentsError): string | null {
  if (error.code === "approval_not_found") return "the request no longer waits for permission";
  if (error.code !== "approval_decided") return null;
  const approval = error.problem?.approval;
  const word = approval?.decision === "allow" ? "allowed" : approval?.decision === "deny" ? "denied" : "decided";
  // The members of a problem are passed on unchecked.
  return `the request was ${word} before${typeof approval?.decidedBy === "string" ? ` by ${approval.decidedBy}` : ""}`;
}

/**
 * Describes an error. Rethrows errors that are defects of this program.
 *
 * @param sent the request that the device may have received, if any
 */
export function describeFailure(
  error: unknown,
  { host, parsed }: Pick<CommandContext, "host" | "parsed">,
  sent?: SentRequest,
): CommandError {
  if (error instanceof CommandError) return error;
  if (host.interrupted.aborted) return interrupted(host, parsed, sent);
  if (!isLettaEnvironmentsError(error)) throw error;
  const exitCode = exitCodeOf(error, sent !== undefined);
  const text = describeError(error, addressOf(host, optionOf(parsed)), sent?.what);
  return new CommandError(text, exitCode, {
    details: [
      ...(error.code === "ambiguous_device" ? deviceLines(error.environments ?? [], host.clock.now()) : []),
      ...(error.code === "insufficient_scope" ? scopeHint(error, host, parsed) : []),
      ...(exitCode === exitCodes.unknown && sent !== undefined ? [sent.hint] : []),
      ...(parsed.options.has("verbose") ? verboseLines(error) : []),
    ],
  });
}

/** The error for a device that is offline, so that nothing was sent to it. */
export function offlineError(
  { connectionName, lastSeenAt }: Pick<Environment, "connectionName" | "lastSeenAt">,
  nowMs: number,
  { waited = false, ...options }: { waited?: boolean; details?: readonly string[]; cause?: unknown } = {},
): CommandError {
  const state = waited ? "offline and did not come back in time" : "offline";
  const text = `${connectionName} is ${state} (last seen ${formatAge(lastSeenAt, nowMs)}); nothing was sent`;
  return new CommandError(text, exitCodes.offline, options);
}

/** Explains how to add a scope to the gateway key. Its id, which is public, is known only for a key in the environment: a file is not read again. */
function scopeHint({ message }: LettaEnvironmentsError, host: Host, { options }: ParsedLine): string[] {
  if (!message.startsWith("The gateway key lacks")) return [];
  const key = options.has("api-key-file") ? undefined : host.variable("LETTA_API_KEY");
  const id = /^lek_(\w{12})_/.exec(key ?? "")?.[1] ?? "ID";
  const command = `letta-proxy keys update ${id} --scope ...`;
  return [`The operator of the gateway can change that: '${command}', with all scopes that the key needs.`];
}

/**
 * An error of the client in one line: its code, its text, the rules that were broken, and when to try again.
 *
 * @param address the address of the server, for a server that cannot be reached
 * @param sent the content of the request, if it may have arrived
 */
export function describeError(error: LettaEnvironmentsError, address: string, sent?: SentRequest["what"]): string {
  const { retryAfterMs } = error;
  const wait = retryAfterMs === undefined ? "" : `; try again in ${Math.ceil(retryAfterMs / 1_000)} s`;
  return `${messageOf(error, address, sent)}${wait}`;
}

function interrupted({ interrupted: { reason } }: Host, { command }: ParsedLine, sent?: SentRequest): CommandError {
  const exitCode = exitCodeOfSignal(reason);
  if (sent !== undefined) {
    const text = `ended after the ${sent.what} was sent; it is not known whether the device received it`;
    return new CommandError(text, exitCode, { details: [sent.hint] });
  }
  const isSend = command.name === "send" || command.name === "approve" || command.name === "deny";
  return new CommandError(isSend ? "ended; nothing was sent" : "ended", exitCode);
}

function messageOf(error: LettaEnvironmentsError, address: string, sent: SentRequest["what"] | undefined): string {
  if (error.code === "connection_failed" && error.status === undefined) {
    const reason = connectionReason(error);
    if (sent !== undefined) return `no response from ${address} to the ${sent}: ${reason}`;
    return `${reason === broken ? "no response from" : "cannot reach"} ${address}: ${reason}`;
  }
  if (error.code === "ambiguous_device")
    return "several online devices have this name; use the deviceId of one of them:";
  // Issues come unchecked from the server, so they may have another form.
  const issues: readonly unknown[] =
    error.code !== "invalid_argument" && Array.isArray(error.issues) ? error.issues : [];
  const rules = issues.filter(isProblemIssue).map(({ member, rule }) => `${member} ${rule}`);
  const status = `HTTP ${error.status}`;
  const ownStatus = error.code === "http_error" && !error.message.includes(status) ? status : null;
  const reason = error.status === undefined ? causeCode(error) : ownStatus;
  // A single rule is often the whole text.
  const details = [
    ...rules.filter((rule) => !error.message.startsWith(rule)),
    ...(reason === null ? [] : [reason]),
  ].join("; ");
  const text = error.message.replace(/\.$/, "");
  // The text of the client's own failures is usually the code in words.
  const what = text === error.code.replaceAll("_", " ") ? error.code : `${error.code}: ${text}`;
  return `${what}${details === "" ? "" : ` (${details})`}`;
}

/** The server was reached. */
const broken = "the connection broke";

const connectionReasons: Readonly<Record<string, string>> = {
  ECONNREFUSED: "connection refused",
  ConnectionRefused: "connection refused",
  ECONNRESET: broken,
  EPIPE: broken,
  UND_ERR_SOCKET: broken,
  ENOTFOUND: "no such host",
  EAI_AGAIN: "the host name cannot be looked up",
  ETIMEDOUT: "no response from the host",
  UND_ERR_CONNECT_TIMEOUT: "no response from the host",
  EHOSTUNREACH: "no route to the host",
  ENETUNREACH: "no route to the host",
  DEPTH_ZERO_SELF_SIGNED_CERT: "its certificate is self-signed",
  SELF_SIGNED_CERT_IN_CHAIN: "its certificate is signed by an unknown authority",
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: "its certificate is signed by an unknown authority",
  CERT_HAS_EXPIRED: "its certificate has expired",
  ERR_TLS_CERT_ALTNAME_INVALID: "its certificate is for another name",
};

/** Why a connection failed, in words if the reason is a common one. */
function connectionReason(error: Error): string {
  const code = causeCode(error);
  if (code !== null) return connectionReasons[code] ?? code;
  // Deno puts the reason only into the text of the error.
  const text = error.cause instanceof Error ? error.cause.message : "";
  if (/connection refused/i.test(text)) return "connection refused";
  return /connection (?:closed|reset)/i.test(text) ? broken : "the connection failed";
}

/** The code that the system gave to a broken connection: `ECONNREFUSED`, `DEPTH_ZERO_SELF_SIGNED_CERT`. */
function causeCode(error: Error): string | null {
  for (
    let cause: unknown = error.cause, depth = 0;
    cause instanceof Error && depth < 5;
    cause = cause.cause, depth += 1
  ) {
    if ("code" in cause && typeof cause.code === "string" && /^\w{1,60}$/.test(cause.code)) return cause.code;
  }
  return null;
}

function verboseLines({ status, code, requestId, cause }: LettaEnvironmentsError): string[] {
  const rows: readonly (readonly [string, string | number | null | undefined])[] = [
    ["status", status],
    ["request id", requestId],
    ["cause", cause instanceof Error ? cause.message.slice(0, 300) : null],
    ["code", code],
  ];
  return rows.flatMap(([name, value]) => ((value ?? null) === null ? [] : [`  ${name}: ${value}`]));
}

function isProblemIssue(issue: unknown): issue is ProblemIssue {
  const { member, rule }: Partial<Record<string, unknown>> = Object(issue);
  return typeof member === "string" && typeof rule === "string";
}
