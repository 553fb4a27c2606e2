/** A key that is limited to an agent, at real devices: an agent that is only named opens no conversation of another one. */
import {
  createRelay,
  createVendorClient,
  demoAgentId,
  type DeviceVersion,
  launchDevice,
  launchProxy,
  type ProtocolFrame,
  runLettaProxy,
} from "@letta-environments/testkit";
import type { Scope } from "@letta-environments/schema";
import { expect, test } from "vitest";

const scopes: readonly Scope[] = ["list", "read", "send", "view", "control"];

test.each<DeviceVersion>(["0.30.28", "0.32.18"])(
  "a key that is limited to an agent can use that agent's conversations on a device of version %s, and no other agent's",
  async (version) => {
    const proxy = await launchProxy();
    const relay = await createRelay(proxy.url);
    const apiKey = await proxy.createKey({ scopes: ["connect"] });
    const device = await launchDevice({ baseUrl: relay.url, apiKey, deviceId: "device-shared", version });
    try {
      await proxy.process.waitForOutput(/"event":"device_connected"/);
      const everything = await proxy.createKey({ scopes: [...scopes, "manage"] });
      const limited = await proxy.createKey({ scopes, more: ["--agent", demoAgentId] });

      const call = async (path: string, body?: object) => {
        const response = await fetch(`${proxy.url}/v1/environments/${path}`, {
          headers: { authorization: `Bearer ${limited}`, "content-type": "application/json" },
          ...(body !== undefined && {
            method: "POST",
            body: JSON.stringify({ agentId: demoAgentId, ...body }),
          }),
        });
        return { status: response.status, body: (await response.json()) as Record<string, unknown> };
      };
      const { body } = await call("device-shared");
      const connectionId = String(body["connectionId"]);
      const url = `${proxy.url}/v1/environments/${connectionId}/status/ws`;
      const start = async (authToken: string, command: object): Promise<ProtocolFrame> => {
        const client = await createVendorClient({ url, authToken, requestTimeoutMs: 15_000 });
        await client.connect();
        return client.runtimeStart(command).finally(() => client.close());
      };
      const conversationOf = ({ runtime }: ProtocolFrame): string =>
        String((runtime as Record<string, unknown>)["conversation_id"]);
      const created = { create_agent: { body: { name: "Secret" } }, create_conversation: {} };
      const secret = conversationOf(await start(everything, created));
      const own = conversationOf(await start(limited, { agent_id: demoAgentId, create_conversation: {} }));
      expect([secret, own]).toEqual([expect.stringMatching(/^local-conv-/), expect.stringMatching(/^local-conv-/)]);

      const messages = () => [{ role: "user", content: "ping", client_message_id: crypto.randomUUID() }];
      const refused = { status: 403, body: { errorCode: "agent_not_allowed" } };
      const before = relay.fromServer.frames.length;
      const target = { conversationId: secret };
      expect(await call(`${connectionId}/messages`, { ...target, messages: messages() })).toMatchObject(refused);
      expect(await call(`${connectionId}/mode`, { ...target, mode: "standard" })).toMatchObject(refused);
      expect(await call(`${connectionId}/stop`, target)).toMatchObject(refused);
      await expect(start(limited, { agent_id: demoAgentId, conversation_id: secret })).resolves.toMatchObject({
        success: false,
      });
      const written = relay.fromServer.frames.slice(before).map(({ type }) => type);
      expect(written.filter((type) => type !== "pong")).toEqual(["conversation_retrieve"]);

      for (let count = 0; count < 2; count++) {
        const sent = await call(`${connectionId}/messages`, { conversationId: own, messages: messages() });
        expect(sent).toMatchObject({ status: 200 });
      }
      expect(await call(`${connectionId}/messages`, { messages: messages() })).toMatchObject({ status: 200 });
      const { stdout } = await runLettaProxy(["audit", "list", "--json", "--data-dir", proxy.dataDir]);
      const entries = stdout
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line) as Record<string, unknown>);
      expect(entries.filter(({ code }) => code === "agent_not_allowed")).toMatchObject([
        { type: "send_finished", status: 403 },
        { type: "control_finished", status: 403 },
        { type: "control_finished", status: 403 },
        { type: "viewer_command", command: "runtime_start", agentId: demoAgentId, conversationId: secret },
      ]);
    } finally {
      await device.kill();
      await relay.close();
      await proxy.stop();
    }
  },
  60_000,
);
