import { expect, test, vi } from "vitest";
import type { RuntimeLauncher } from "../launcher.ts";
import { continuedContent, type GatewayUnderTest, heldContent } from "../use-gateway.ts";

/** The body of a send. */
export function message(id: string, content: string = "ping"): object {
  return { agentId: "agent-1", messages: [{ role: "user", content, client_message_id: id }] };
}

/** Messages that are forwarded to the upstream, and messages that are refused. */
export function describeSending({ name }: Pick<RuntimeLauncher, "name">, gateway: GatewayUnderTest): void {
  const path = "/v1/environments/conn-1/messages";

  test("a message reaches the upstream unchanged", async () => {
    const key = await gateway.keyFor("list", "read", "send");
    const body = message("m-1", "é \u{1f600}");
    const answer = await gateway.ask(path, { key, body });
    expect([answer.status, answer.json["success"]]).toEqual([200, true]);
    const sent = gateway.upstream.seen.filter(({ method }) => method === "POST").at(-1);
    expect(sent?.target).toBe(path);
    expect(JSON.parse(sent?.body ?? "")).toEqual(body);
  });

  test("a message that is sent again reaches the upstream once, and its repeat receives the first result", async () => {
    const key = await gateway.keyFor("list", "read", "send");
    const body = message("sent-twice");
    const [first, second] = await Promise.all([gateway.ask(path, { key, body }), gateway.ask(path, { key, body })]);
    const third = await gateway.ask(path, { key, body });
    for (const { status, text } of [first, second, third]) expect([status, text]).toEqual([200, first.text]);
    expect(third.headers.get("idempotency-replayed")).toBe("true");
    expect(third.headers.get("x-message-deduplication")).toBe("86400");
    const sent = gateway.upstream.seen.filter(({ body: text }) => text.includes("sent-twice"));
    expect(sent).toHaveLength(1);
  });

  test("a send continues when its caller disconnects, and a repeat receives its result", async () => {
    const key = await gateway.keyFor("list", "read", "send");
    const body = message("abandoned", heldContent);
    const findSent = () => gateway.upstream.seen.filter(({ body: text }) => text.includes("abandoned"));
    const caller = new AbortController();
    const first = gateway.ask(path, { key, body, signal: caller.signal }).catch(() => "disconnected");
    await vi.waitFor(() => expect(findSent()).toHaveLength(1), 20_000);
    caller.abort();
    expect(await first).toBe("disconnected");
    const repeating = gateway.ask(path, { key, body });
    gateway.releaseHeld();
    const repeat = await repeating;
    expect([repeat.status, repeat.headers.get("idempotency-replayed")]).toEqual([200, "true"]);
    expect(findSent()).toHaveLength(1);
  });

  test("a send whose response follows an unsolicited 100 Continue has an unknown outcome, and server runtimes name the reason", async () => {
    const key = await gateway.keyFor("list", "read", "send");
    const answer = await gateway.ask(path, { key, body: message("m-continued", continuedContent) });
    // A Worker calls the upstream with the `fetch` of its platform; that of the test harness responds with 500 itself.
    const detail = expect.stringContaining("100 Continue");
    const named = name === "workerd" ? {} : { errorCode: "delivery_unknown", detail };
    expect(answer.json).toMatchObject({ delivery: "unknown", ...named });
  });

  test.each([
    ["invalid JSON", "{", 400, "malformed_json"],
    ["nothing", "", 400, "malformed_json"],
    ["a text", '"x"', 400, "invalid_request"],
    ["no messages", '{"agentId":"a","messages":[]}', 400, "invalid_request"],
    ["no agent", '{"messages":[{"role":"user","content":"x"}]}', 400, "invalid_request"],
    ["an approval without its scope", approval, 403, "insufficient_scope"],
  ])("%s is refused and not forwarded", async (_what, body, status, code) => {
    const key = await gateway.keyFor("list", "read", "send");
    const before = gateway.upstream.seen.filter(({ method }) => method === "POST").length;
    const answer = await gateway.ask(path, { key, body });
    expect([answer.status, answer.json["errorCode"]]).toEqual([status, code]);
    expect(gateway.upstream.seen.filter(({ method }) => method === "POST")).toHaveLength(before);
  });

  test("the status of a message is the gateway's record of its send; a gateway without message statuses says that it does not offer them", async () => {
    const key = await gateway.keyFor("list", "read", "send");
    await gateway.ask(path, { key, body: message("status/1") });
    const answer = await gateway.ask(`${path}/status%2F1?agentId=agent-1`, { key });
    if (answer.status === 404) {
      expect(answer.json).toMatchObject({
        errorCode: "endpoint_not_found",
        detail: expect.stringContaining("does not offer this operation"),
      });
      return;
    }
    expect(answer.json).toMatchObject({ clientMessageId: "status/1", state: "accepted" });
    expect((await gateway.ask(`${path}/unknown?agentId=agent-1`, { key })).json["errorCode"]).toBe("message_not_found");
  });

  test("a body with a content type other than JSON is 415", async () => {
    const key = await gateway.keyFor("list", "read", "send");
    const headers = { "content-type": "text/plain" };
    const answer = await gateway.ask(path, { key, body: message("m-2"), headers });
    expect([answer.status, answer.json["errorCode"]]).toEqual([415, "unsupported_media_type"]);
  });

  test("a message to a connection that the upstream does not list is 404 and not forwarded", async () => {
    const key = await gateway.keyFor("list", "read", "send");
    const answer = await gateway.ask("/v1/environments/conn-unknown/messages", { key, body: message("m-3") });
    expect([answer.status, answer.json["errorCode"]]).toEqual([404, "connection_not_found"]);
    expect(gateway.upstream.seen.filter(({ target }) => target.includes("conn-unknown"))).toEqual([]);
  });
}

const approval = JSON.stringify({
  agentId: "agent-1",
  messages: [{ type: "approval", approvals: [{ type: "approval", tool_call_id: "t", approve: true }] }],
});
