/** A receiver of the OpenTelemetry protocol (JSON encoding) that records every push. */
import { createFakeUpstream } from "../fake-upstream.ts";

/** A push. */
export interface OtlpPush {
  /** `/v1/metrics` or `/v1/traces`. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
  readonly body: unknown;
}

/** A running receiver of the OpenTelemetry protocol. */
export interface OtlpCollector {
  readonly url: string;
  readonly pushes: readonly OtlpPush[];
  /** The status, additional headers and the body of the next responses. */
  status: number;
  headers: Readonly<Record<string, string>>;
  body: string;
  /** Resolves with the first push that matches, past or future. */
  next(matches: (push: OtlpPush) => boolean): Promise<OtlpPush>;
  close(): Promise<void>;
}

/** Starts a collector on loopback. */
export async function createOtlpCollector(): Promise<OtlpCollector> {
  const pushes: OtlpPush[] = [];
  const waiting = new Set<(push: OtlpPush) => void>();
  const { url, close } = await createFakeUpstream(({ target, headers, body }, response) => {
    const push = { path: target, headers, body: JSON.parse(body) as unknown };
    const answer = { "content-type": "application/json", ...collector.headers };
    response.writeHead(collector.status, answer).end(collector.body);
    pushes.push(push);
    for (const notify of waiting) notify(push);
  });
  const collector: OtlpCollector = {
    url,
    pushes,
    status: 200,
    headers: {},
    body: "{}",
    next: (matches) =>
      new Promise((resolve) => {
        const past = pushes.find(matches);
        if (past !== undefined) return resolve(past);
        const notify = (push: OtlpPush): void => {
          if (!matches(push)) return;
          waiting.delete(notify);
          resolve(push);
        };
        waiting.add(notify);
      }),
    close,
  };
  return collector;
}
