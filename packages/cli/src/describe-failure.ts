import { isLettaEnvironmentsError, type LettaEnvironmentsError, type ProblemIssue } from "@letta-environments/client";
import { CommandError } from "./command-error.ts";
import type { ParsedCommand } from "./command-line/parse-command-line.ts";
import { exitCodeOfSignal, exitCodes } from "./exit-code.ts";
import { exitCodeOf } from "./exit-code-of.ts";
import type { DeliveryReport } from "./format/format-delivery.ts";
import type { Host } from "./host.ts";

/** What was being done. */
export interface FailureContext {
  readonly host: Host;
  readonly parsed: ParsedCommand;
  /** The message that may have been taken, where there is one. */
  readonly sent?: DeliveryReport;
}

/** Turns what was thrown into what is printed. Rethrows what is a defect of this program. */
export function describeFailure(error: unknown, { host, parsed, sent }: FailureContext): CommandError {
  if (error instanceof CommandError) return error;
  if (host.interrupted.aborted) return interrupted(host, parsed, sent);
  if (!isLettaEnvironmentsError(error)) throw error;
  const exitCode = exitCodeOf(error, sent !== undefined);
  const { retryAfterMs } = error;
  const wait = retryAfterMs === undefined ? "" : `; try again in ${Math.ceil(retryAfterMs / 1_000)} s`;
  return new CommandError(exitCode, `${messageOf(error)}${wait}`, [
    ...(exitCode === exitCodes.unknown ? [repeatHint(sent)] : []),
    ...(parsed.options.has("verbose") ? verboseLines(error) : []),
  ]);
}

function interrupted(
  { interrupted: { reason } }: Host,
  { command }: ParsedCommand,
  sent?: DeliveryReport,
): CommandError {
  const exitCode = exitCodeOfSignal(reason);
  if (sent !== undefined) {
    return new CommandError(exitCode, "ended while the message was on its way; it is not known whether it was taken", [
      repeatHint(sent),
    ]);
  }
  const isSend = command.name === "send" || command.name === "approve" || command.name === "deny";
  return new CommandError(exitCode, isSend ? "ended; nothing was sent" : "ended");
}

function repeatHint(sent: DeliveryReport | undefined): string {
  const messageId = sent?.messageId ?? null;
  if (messageId === null)
    return "A decision has no id to repeat it by: see what the device did before you send it again.";
  return `Repeat the same command with --message-id ${messageId} to learn the outcome; the message runs once.`;
}

function messageOf(error: LettaEnvironmentsError): string {
  // They are as the server sent them, which may be in another form.
  const issues: readonly unknown[] =
    error.code !== "invalid_argument" && Array.isArray(error.issues) ? error.issues : [];
  const rules = issues.filter(isProblemIssue).map(({ member, rule }) => `${member} ${rule}`);
  const status = error.code === "http_error" ? `HTTP ${error.status}` : null;
  const reason = error.status === undefined ? causeCode(error) : status;
  // A single rule is often the whole text.
  const details = [
    ...rules.filter((rule) => !error.message.startsWith(rule)),
    ...(reason === null ? [] : [reason]),
  ].join("; ");
  const text = error.message.replace(/\.$/, "");
  // The client's own failures are mostly their code in words.
  const what = text === error.code.replaceAll("_", " ") ? error.code : `${error.code}: ${text}`;
  return `${what}${details === "" ? "" : ` (${details})`}`;
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

function verboseLines({ status, requestId, cause, retryable }: LettaEnvironmentsError): string[] {
  const rows: readonly (readonly [string, string | number | null | undefined])[] = [
    ["status", status],
    ["request id", requestId],
    ["may be repeated", retryable ? "yes" : "no"],
    ["cause", cause instanceof Error ? cause.message.slice(0, 300) : null],
  ];
  return rows.flatMap(([name, value]) => ((value ?? null) === null ? [] : [`  ${name}: ${value}`]));
}

function isProblemIssue(issue: unknown): issue is ProblemIssue {
  const { member, rule }: Partial<Record<string, unknown>> = Object(issue);
  return typeof member === "string" && typeof rule === "string";
}
