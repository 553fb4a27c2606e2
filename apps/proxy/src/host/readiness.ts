/**
 * Readiness (`GET /readyz`): whether the process can serve requests now. Each check uses a resource without which requests fail, such as
 * the disk or a store, and never the upstream. The checks run on request, at most once in two seconds however many requests there are. A check
 * that does not finish in time has failed, and does not start again before it has finished.
 */
import type { Clock } from "@letta-environments/platform";
import { jsonResponse, type PlainResponse, problemResponse } from "@letta-environments/schema";
import { neverAborted, runWithDeadline } from "../lib/deadline.ts";

/** How long a result is used, and how long a check may take, in milliseconds. */
const maxAgeMs = 2_000;
const timeoutMs = 1_000;

/** A check of one resource. */
export interface ReadinessCheck {
  /** Shown to callers, such as `disk`. */
  readonly name: string;
  /** Rejects when the resource cannot be used. */
  run(): Promise<void>;
}

/** The state of one resource. */
export interface CheckResult {
  readonly name: string;
  readonly isReady: boolean;
}

/** A change of one resource, for the log. */
export interface ReadinessChange extends CheckResult {
  /** Why it cannot be used; `null` when it can again. */
  readonly cause: unknown;
}

/** Resolves with the results of all checks, in their order. It never rejects. */
export type ReadReadiness = () => Promise<readonly CheckResult[]>;

/** Creates a {@link ReadReadiness}. `onChange` receives each resource that became unusable, and each that recovered. */
export function createReadiness(
  clock: Clock,
  checks: readonly ReadinessCheck[],
  onChange: (change: ReadinessChange) => void,
): ReadReadiness {
  const failed = new Set<string>();
  const running = new Set<ReadinessCheck>();
  let latest: Promise<readonly CheckResult[]> | null = null;
  let startedAt = 0;

  async function run(check: ReadinessCheck): Promise<CheckResult> {
    const { name } = check;
    const cause = await failureOf(check);
    const isReady = cause === null;
    if (isReady ? failed.delete(name) : !failed.has(name)) onChange({ name, isReady, cause });
    if (!isReady) failed.add(name);
    return { name, isReady };
  }

  async function runOnce(check: ReadinessCheck): Promise<void> {
    if (running.has(check)) throw new Error("the previous check has not finished");
    running.add(check);
    try {
      await check.run();
    } finally {
      running.delete(check);
    }
  }

  async function failureOf(check: ReadinessCheck): Promise<unknown> {
    const deadline = { atMs: clock.monotonic() + timeoutMs, signal: neverAborted };
    try {
      const outcome = await runWithDeadline(clock, deadline, () => runOnce(check));
      return outcome.kind === "finished" ? null : new Error(`no result within ${timeoutMs} ms`);
    } catch (cause) {
      return cause ?? new Error("failed without a cause");
    }
  }

  return () => {
    if (latest === null || clock.monotonic() - startedAt >= maxAgeMs) {
      startedAt = clock.monotonic();
      latest = Promise.all(checks.map(run));
    }
    return latest;
  };
}

/**
 * Returns the response of `/readyz`. With `?verbose` it is plain text with a line for each check, as Kubernetes' own servers write it. It
 * says which resource fails, but never why, because callers need no key.
 */
export function readinessResponse(results: readonly CheckResult[], isDraining: boolean, query: string): PlainResponse {
  const all = [...results, { name: "shutdown", isReady: !isDraining }];
  const isReady = all.every((result) => result.isReady);
  if (new URLSearchParams(query).has("verbose")) {
    const lines = all.map(
      (result) => `[${result.isReady ? "+" : "-"}]${result.name} ${result.isReady ? "ok" : "failed"}`,
    );
    const text = [...lines, `readyz check ${isReady ? "passed" : "failed"}`].join("\n");
    return { status: isReady ? 200 : 503, headers: { "content-type": "text/plain; charset=utf-8" }, body: `${text}\n` };
  }
  if (isDraining) return problemResponse("shutting_down");
  if (isReady) return jsonResponse(200, { status: "ready" });
  const failing = results.filter((result) => !result.isReady).map(({ name }) => name);
  return problemResponse("not_ready", { detail: `These checks fail: ${failing.join(", ")}.` });
}
