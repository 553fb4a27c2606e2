/** Traces through a real process: the log, the embedded server and an OpenTelemetry receiver name the same trace. */
import { connectScriptedDevice, createOtlpCollector, launchProxy } from "@letta-environments/testkit";
import { afterEach, expect, test, vi } from "vitest";
import { configArguments } from "./support/config-arguments.ts";

vi.setConfig({ testTimeout: 60_000 });

const cleanups: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

interface PushedSpans {
  readonly resourceSpans: readonly {
    readonly scopeSpans: readonly {
      readonly spans: readonly { readonly traceId: string; readonly name: string; readonly parentSpanId?: string }[];
    }[];
  }[];
}

test("the spans of a send are pushed, and its log lines and the message name the caller's trace", async () => {
  const collector = await createOtlpCollector();
  const { args, remove } = await configArguments({ logLevel: "debug" });
  const proxy = await launchProxy({ args, env: { OTEL_EXPORTER_OTLP_ENDPOINT: collector.url } });
  cleanups.push(remove, collector.close, () => proxy.stop());
  const caller = await proxy.createKey({ scopes: ["send", "details"] });
  const connect = await proxy.createKey({ scopes: ["connect"] });
  const device = await connectScriptedDevice({ baseUrl: proxy.url, apiKey: connect, deviceId: "device-1" });
  const [traceId, spanId] = ["0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"];
  const response = await fetch(`${proxy.url}/v1/environments/${device.connectionId}/messages`, {
    method: "POST",
    headers: {
      authorization: `Bearer ${caller}`,
      "content-type": "application/json",
      traceparent: `00-${traceId}-${spanId}-01`,
    },
    body: JSON.stringify({
      agentId: "agent-1",
      messages: [{ role: "user", content: "hello", client_message_id: "m1" }],
    }),
  });
  expect(response.status).toBe(200);
  expect(response.headers.get("server-timing")).toMatch(/^authenticate;dur=[\d.]+, .*upstream;dur=[\d.]+, total;dur=/);
  await device.close();
  await proxy.process.stop();

  const pushed = collector.pushes.filter(({ path }) => path === "/v1/traces").map(({ body }) => body as PushedSpans);
  const spans = pushed.flatMap(({ resourceSpans }) => resourceSpans[0]?.scopeSpans[0]?.spans ?? []);
  expect(spans.find(({ name }) => name === "POST sendMessage")).toMatchObject({ traceId, parentSpanId: spanId });
  const lines = proxy.process
    .standardOutput()
    .split("\n")
    .filter((line) => line.includes(traceId))
    .map((line) => JSON.parse(line) as { readonly event: string; readonly outcome?: string });
  expect(lines.map(({ event }) => event).toSorted()).toEqual(["message_sent", "request"]);
  expect(lines.find(({ event }) => event === "request")).toMatchObject({ outcome: "ok", level: "info" });
});
