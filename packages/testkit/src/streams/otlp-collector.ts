/** A receiver of the OpenTelemetry protocol (JSON encoding) that records every push. */
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

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
  const server = createServer((incoming, response) => {
    const chunks: Buffer[] = [];
    incoming.on("data", (chunk: Buffer) => chunks.push(chunk));
    incoming.on("end", () => {
      const body: unknown = JSON.parse(Buffer.concat(chunks).toString("utf8"));
      const push = { path: incoming.url ?? "", headers: incoming.headers, body };
      const { status, headers } = collector;
      response.writeHead(status, { "content-type": "application/json", ...headers }).end(collector.body);
      pushes.push(push);
      for (const notify of waiting) notify(push);
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const collector: OtlpCollector = {
    url: `http://127.0.0.1:${port}`,
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
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return collector;
}
