/**
 * The members of an upstream's problem that callers see beside its code: its text, the rules that it names, how much of a body was delivered, and
 * the first decision on a request. Each is rebuilt from the few values that it can have, because anything else in a problem may be meant for the gateway
 * alone.
 */
import {
  type DecidedApproval,
  type DeliveredParts,
  type ProblemCode,
  problemDefinitions,
  type ProblemIssue,
  type ProblemOptions,
} from "@letta-environments/schema";
import { isJsonObject, type JsonObject } from "../lib/json.ts";

/** Maximum length of a text whose control characters are replaced, in characters: in a text of 2 MB that takes a quarter of a second. */
const maxCleanedLength = 65_536;

/** Maximum length of an upstream's error text, in characters. */
const maxDetailLength = 500;

/** Maximum number of an upstream's issues, as in problems of the gateway. */
const maxIssues = 16;

/** Returns the members of a problem of this project that are passed on. */
export function publicMembers(
  code: ProblemCode,
  problem: JsonObject,
  credential: string | null,
): Pick<ProblemOptions, "issues" | "members"> {
  const issues = publicIssues(problem["errors"], credential);
  const parts = readParts(code, problem);
  const approval = code === "approval_decided" ? readDecision(problem["approval"], credential) : null;
  const members = { ...(parts !== null && { parts }), ...(approval !== null && { approval }) };
  return { ...(issues.length > 0 && { issues }), members };
}

/** Returns which parts of a body were delivered before one failed; `null` if the problem does not say that any was. */
export function readParts(code: ProblemCode, { parts }: JsonObject): DeliveredParts | null {
  if (!(code === "input_rejected" || code === "delivery_unknown") || !isJsonObject(parts)) return null;
  const { count, delivered, errorCode } = parts;
  if (!isCount(count) || !isCount(delivered) || delivered > count) return null;
  // A newer server may name a code that is unknown here. The numbers still say what must not be sent again.
  const known = typeof errorCode === "string" && isProblemCode(errorCode) ? errorCode : "upstream_error";
  return { count, delivered, errorCode: known };
}

/** Returns the decision in the member `approval`, without the request: the caller knows it, and may see less of the device than the gateway. */
function readDecision(approval: unknown, credential: string | null): Partial<DecidedApproval> | null {
  if (!isJsonObject(approval)) return null;
  const { decision, decidedAt } = approval;
  const decidedBy = publicText(approval["decidedBy"], credential);
  const isKnown = decision === "allow" || decision === "deny";
  return isKnown && decidedBy !== null && typeof decidedAt === "number" ? { decision, decidedBy, decidedAt } : null;
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && Number(value) > 0;
}

export function isProblemCode(code: string): code is ProblemCode {
  return Object.hasOwn(problemDefinitions, code);
}

/** Removes the credential and control characters from an upstream's text; `null` when nothing is left. */
export function publicText(text: unknown, credential: string | null): string | null {
  if (typeof text !== "string") return null;
  const scrubbed = credential === null || credential === "" ? text : text.replaceAll(credential, "[removed]");
  const shown = scrubbed
    .slice(0, maxCleanedLength)
    .replace(/\p{Cc}+/gu, " ")
    .trim()
    .slice(0, maxDetailLength);
  return shown === "" ? null : shown.toWellFormed();
}

/** Returns the broken rules that a problem of this project names, such as that of a cursor, which only the upstream can check. */
function publicIssues(errors: unknown, credential: string | null): readonly ProblemIssue[] {
  if (!Array.isArray(errors)) return [];
  const named = errors.filter(isJsonObject).slice(0, maxIssues);
  return named.flatMap((error) => {
    const [member, rule] = [publicText(error["member"], credential), publicText(error["rule"], credential)];
    return member === null || rule === null ? [] : [{ member, rule }];
  });
}
