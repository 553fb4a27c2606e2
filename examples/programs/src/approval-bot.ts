/**
 * Decides on requests for permission by a rule: allows Bash commands of a short list, denies what a person should never be asked, and leaves
 * everything else to people. The key needs the scopes `approve` and `send`.
 *
 *     LETTA_BASE_URL=http://127.0.0.1:8787 LETTA_API_KEY=lek_... node approval-bot.ts
 */
import process from "node:process";
import {
  type Approval,
  type ApprovalVerdict,
  createClient,
  isLettaEnvironmentsError,
} from "@letta-environments/client";

/** When a request is looked at again whose decision failed in a way that may pass, in milliseconds. */
const lookAgainMs = 5_000;

const allowed: ReadonlySet<string> = new Set(["git status", "git diff", "npm test"]);

/** The decision on a request; `null` leaves it to people. A command must match as a whole: a prefix would allow whatever follows it. */
export function decide({
  tool,
  input,
  inputTruncated,
}: Pick<Approval, "tool" | "input" | "inputTruncated">): ApprovalVerdict | null {
  const command = input?.["command"];
  if (tool !== "Bash" || typeof command !== "string" || inputTruncated) return null;
  if (allowed.has(command.trim())) return { approve: true };
  return /\bsudo\b/.test(command) ? { approve: false, reason: "Commands with sudo are not allowed here." } : null;
}

/** Decides on what waits now, and then on each new request until the signal ends it. Resolves at the end. */
export async function runApprovalBot(
  { environments }: ReturnType<typeof createClient>,
  signal: AbortSignal,
  report: (line: string) => void,
  rule: (approval: Approval) => ApprovalVerdict | null = decide,
): Promise<void> {
  const known = new Set<string>();
  let lookAgain: ReturnType<typeof setTimeout> | undefined;

  async function look(): Promise<void> {
    let after: string | undefined;
    do {
      const page = await environments.approvals.list({ after }, { signal });
      for (const approval of page.approvals) await handle(approval);
      after = page.hasNextPage ? (page.cursor ?? undefined) : undefined;
    } while (after !== undefined);
  }

  async function handle(approval: Approval): Promise<void> {
    const key = [approval.deviceId, approval.conversationId, approval.id].join("\n");
    const verdict = rule(approval);
    if (verdict === null || approval.connectionId === null || known.has(key)) return;
    known.add(key);
    try {
      await environments.approvals.decide(approval, verdict, { signal });
      report(`${verdict.approve ? "allowed" : "denied"} ${approval.tool} on ${approval.deviceId}`);
    } catch (error) {
      if (!isLettaEnvironmentsError(error) || error.code === "aborted") throw error;
      report(`not decided: ${error.code}`);
      // Another user was faster, or the decision may have arrived. Otherwise the request still waits.
      if (["approval_decided", "approval_not_found"].includes(error.code) || error.outcome === "unknown") return;
      known.delete(key);
      if (error.retryable) lookAgain ??= setTimeout(stale, error.retryAfterMs ?? lookAgainMs);
    }
  }

  // The stream opens first, so that no request falls between the list and the stream.
  let wake = (): void => undefined;
  let isStale = false;
  const stale = (): void => {
    clearTimeout(lookAgain);
    lookAgain = undefined;
    isStale = true;
    wake();
  };
  const events = environments.events({ signal, onOpen: stale });
  const reading = (async () => {
    for await (const event of events) if (event.type === "approval" || event.type === "gap") stale();
  })().finally(stale);
  reading.catch(() => undefined);
  try {
    while (!signal.aborted) {
      if (!isStale) await Promise.race([new Promise<void>((resolve) => (wake = resolve)), reading]);
      isStale = false;
      if (!signal.aborted) await look();
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  } finally {
    clearTimeout(lookAgain);
  }
}

if (import.meta.main) {
  const { LETTA_BASE_URL: baseUrl = "", LETTA_API_KEY: apiKey = "" } = process.env;
  const ended = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => ended.abort());
  await runApprovalBot(
    createClient({ baseUrl, apiKey }),
    ended.signal,
    (line) => void process.stdout.write(`${line}\n`),
  );
}
