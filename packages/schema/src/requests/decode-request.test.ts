import * as v from "valibot";
import { describe, expect, test } from "vitest";
import {
  decodeBody,
  decodeQuery,
  decodeRequest,
  isJsonMediaType,
  maxBodyBytes,
  toDecodedRequest,
} from "./decode-request.ts";
import { maxJsonDepth } from "../base/nesting.ts";
import { type ControlOperation, controlTargetOf, endpoints, type KnownEndpoint } from "../endpoints/endpoints.ts";
import { ListEnvironmentsQuerySchema } from "../schemas/list-query.ts";
import { ListMessagesQuerySchema } from "../schemas/message-list.ts";
import { matchEndpoint } from "./routing.ts";
import { SendMessageBodySchema } from "../schemas/message.ts";

const encode = (text: string): Uint8Array => new TextEncoder().encode(text);

function refusal(decoded: ReturnType<typeof decodeBody>): unknown {
  if (decoded.ok) return "accepted";
  const body = JSON.parse(String(decoded.response.body)) as { errorCode: string; detail: string };
  return `${decoded.response.status} ${body.errorCode}: ${body.detail}`;
}

const send = (text: string, contentType?: string) => decodeBody(SendMessageBodySchema, encode(text), contentType);
const list = (query: string) => decodeQuery(ListEnvironmentsQuerySchema, query);
const good = JSON.stringify({ messages: [{ role: "user", content: "hi", client_message_id: "m-1" }] });

describe("decodeBody", () => {
  test.each([
    undefined,
    "application/json",
    "Application/JSON; charset=UTF-8",
    'application/json; charset="utf-8"',
    "application/json;charset=utf8",
    "application/json; charset = utf-8",
    "application/merge-patch+json",
    "application/json; profile=x",
  ])("decodeBody accepts the media type %s", (contentType) => {
    expect(isJsonMediaType(contentType)).toBe(true);
    expect(send(good, contentType).ok).toBe(true);
  });

  test.each([
    "",
    "text/plain",
    "text/json",
    "application/jsonp",
    "application/x-www-form-urlencoded",
    "application/json; charset=utf-16",
    "application/json; charset = latin1",
    "application/json; charset=utf-8; charset=latin1",
    "application/json, text/plain",
    "multipart/form-data; boundary=application/json",
  ])("decodeBody refuses the media type %j with 415", (contentType) => {
    expect(refusal(send(good, contentType))).toMatch(/^415 unsupported_media_type: /);
  });

  test.each(["", "{", "undefined", "{'a':1}", good + good, '{"a":1,}', "NaN", "\u0000"])(
    "decodeBody refuses %j as malformed JSON",
    (text) => {
      expect(refusal(send(text))).toBe("400 malformed_json: The body is not valid JSON in UTF-8.");
    },
  );

  test("decodeBody refuses an absent body and invalid UTF-8 as malformed JSON", () => {
    expect(refusal(decodeBody(SendMessageBodySchema, null, undefined))).toMatch(/^400 malformed_json/);
    const broken = Uint8Array.of(...encode('{"messages":"'), 0xc3, 0x28, ...encode('"}'));
    expect(refusal(decodeBody(SendMessageBodySchema, broken, undefined))).toMatch(/^400 malformed_json/);
    const overlong = Uint8Array.of(...encode('{"messages":"'), 0xc0, 0xaf, ...encode('"}'));
    expect(refusal(decodeBody(SendMessageBodySchema, overlong, undefined))).toMatch(/^400 malformed_json/);
  });

  test("decodeBody reads a body of exactly 1 MiB and refuses one byte more with 413", () => {
    const fill = (size: number): string => good.replace("hi", "x".repeat(size - good.length + 2));
    expect(send(fill(maxBodyBytes)).ok).toBe(true);
    expect(refusal(send(fill(maxBodyBytes + 1)))).toMatch(/^413 body_too_large: /);
  });

  test("decodeBody enforces an endpoint's lower size limit, and the problem states it", () => {
    const match = matchEndpoint("POST", "/v1/environments/register");
    if (match.kind === "refused") throw new Error("the endpoint does not match");
    const register = (length: number) => {
      const body = encode(JSON.stringify({ deviceId: "d", connectionName: "n" }).padEnd(length, " "));
      return decodeRequest(match, { query: "", body, contentType: undefined });
    };
    expect(register(131_072).ok).toBe(true);
    expect(refusal(register(131_073))).toBe("413 body_too_large: The body is larger than 128 KiB (131,072 bytes).");
  });

  test.each([["null"], ["5"], ['"text"'], ["[]"], ["[{}]"]])(
    "decodeBody refuses %s, because a body must be an object",
    (text) => {
      expect(refusal(send(text))).toBe("400 invalid_request: body must be an object");
    },
  );

  test("decodeBody refuses deep nesting without a stack overflow", () => {
    const nested = (depth: number): string => `{"x":${"[".repeat(depth - 1)}${"]".repeat(depth - 1)},${good.slice(1)}`;
    expect(send(nested(maxJsonDepth)).ok).toBe(true);
    expect(refusal(send(nested(maxJsonDepth + 1)))).toBe(
      "400 invalid_request: body must have at most 64 levels of nesting",
    );
    expect(refusal(send(nested(250_000)))).toMatch(/^400 invalid_request/);
  });

  test("decodeBody refuses a body with more than 50,000 values before it is parsed; text in strings does not count", () => {
    const values = (count: number): string => `{"x":[${"1,".repeat(count - 3)}1],${good.slice(1)}`;
    expect(send(values(40_000)).ok).toBe(true);
    expect(refusal(send(values(51_000)))).toBe("400 invalid_request: body must have at most 50,000 values");
    expect(refusal(send(`[${"{},".repeat(300_000)}`))).toMatch(/^400 invalid_request/);
    expect(send(good.replace("hi", "[{,".repeat(300_000))).ok).toBe(true);
  });

  test.each([20, 20_000, 40_000])(
    "checking stops after the sixteenth of %d invalid members, in a body of any size",
    (count) => {
      let checked = 0;
      const item = v.custom<string>(() => {
        checked += 1;
        return false;
      }, "must be a name");
      const schema = v.looseObject({ names: v.array(item) });
      const decoded = decodeBody(schema, encode(`{"names":[${"1,".repeat(count - 1)}1]}`), undefined);
      expect(refusal(decoded)).toBe("400 invalid_request: names[0] must be a name (and at least 15 more)");
      expect(checked).toBe(16);
    },
  );

  test("checking stops after the sixteenth broken rule, even for objects that lack several members", () => {
    const decoded = send(`{"messages":[${"{},".repeat(20_000)}{}],"agentId":5}`);
    const body = JSON.parse(decoded.ok ? "{}" : String(decoded.response.body)) as { errors: { member: string }[] };
    expect(body.errors).toHaveLength(16);
    expect(body.errors.at(-1)?.member).toBe("messages[5].client_message_id");
  });

  test("__proto__ in a body changes no prototype and is not in the result", () => {
    const decoded = send(`{"__proto__":{"polluted":true},${good.slice(1)}`);
    const value: unknown = decoded.ok ? decoded.value : null;
    expect(Object.keys(value ?? {})).toEqual(["messages"]);
    expect(Object.getPrototypeOf(value)).toBe(Object.prototype);
    expect(Object.hasOwn(Object.prototype, "polluted")).toBe(false);
  });

  test("a member that is only in __proto__ counts as missing", () => {
    expect(refusal(send('{"__proto__":{"messages":[]}}'))).toBe("400 invalid_request: messages is required");
  });

  test.each(["5", "null", '{"text":"x"}'])(
    "the content %s is refused, and the rule names both permitted forms",
    (content) => {
      const body = good.replace('"hi"', content);
      expect(refusal(send(body))).toBe(
        "400 invalid_request: messages[0].content must be a string or a list of text parts",
      );
      const result = `{"tool_call_id":"t","status":"success","tool_return":${content}}`;
      expect(refusal(send(`{"messages":[{"type":"approval","approvals":[${result}]}]}`))).toBe(
        "400 invalid_request: messages[0].approvals[0].tool_return must be a string or a list of text parts",
      );
    },
  );

  test("an unpaired surrogate in the content is kept", () => {
    const decoded = send(good.replace("hi", String.raw`\ud800`));
    expect(decoded.ok && JSON.stringify(decoded.value)).toContain(String.raw`\ud800`);
  });
});

describe("decodeQuery", () => {
  test("decodeQuery returns values, and keeps unknown parameters", () => {
    expect(list("after=env-1&limit=5&onlineOnly=true&source=remote&userId=u%201&future=x")).toEqual({
      ok: true,
      value: { after: "env-1", limit: 5, onlineOnly: true, source: "remote", userId: "u 1", future: "x" },
    });
    expect(list("onlineOnly=false")).toEqual({ ok: true, value: { onlineOnly: false } });
    expect(list("")).toEqual({ ok: true, value: {} });
  });

  test.each([
    ["limit=0", "limit must be an integer from 1 to 100"],
    ["limit=101", "limit must be an integer from 1 to 100"],
    ["limit=", "limit must be an integer from 1 to 100"],
    ["limit=1.5", "limit must be an integer from 1 to 100"],
    ["limit=1e1", "limit must be an integer from 1 to 100"],
    ["limit=%2B5", "limit must be an integer from 1 to 100"],
    ["limit=99999999999999999999", "limit must be an integer from 1 to 100"],
    ["onlineOnly=1", "onlineOnly must be true or false"],
    ["onlineOnly", "onlineOnly must be true or false"],
    ["source=both", "source must be local or remote"],
    ["userId=", "userId must not be empty"],
    ["limit=5&limit=6", "limit must be given once"],
    ["limit=5&limit=5", "limit must be given once"],
    ["limit=5&%6Cimit=6", "limit must be given once"],
  ])("the query %s is refused: %s", (query, text) => {
    expect(refusal(list(query))).toBe(`400 invalid_request: ${text}`);
  });

  test.each(["after=", "after=..", "after=a/b", "after=%ED%A0%80"])(
    "the query %s is refused, because after must be an id",
    (query) => {
      expect(refusal(list(query))).toMatch(/^400 invalid_request: after must be 1 to 128 characters from /);
    },
  );

  test("a second question mark is part of a parameter name", () => {
    expect(list("?limit=500")).toEqual({ ok: true, value: { "?limit": "500" } });
  });

  test("an unknown parameter may be given several times, as a newer API may define it", () => {
    expect(list("future=x&limit=5&future=y&future=z")).toEqual({
      ok: true,
      value: { limit: 5, future: ["x", "y", "z"] },
    });
    expect(list("__proto__=x&__proto__=y")).toEqual({ ok: true, value: {} });
  });

  test.each<[string, v.GenericSchema]>([
    ["partial", v.partial(ListMessagesQuerySchema)],
    ["required", v.required(v.pick(ListMessagesQuerySchema, ["state"]))],
    ["nullish", v.looseObject({ state: v.optional(v.nullable(v.array(v.string()))) })],
    ["piped", v.pipe(ListMessagesQuerySchema, v.readonly())],
  ])("a list of a schema that is made %s may be given once or several times", (_kind, schema) => {
    expect(decodeQuery(schema, "state=failed")).toEqual({ ok: true, value: { state: ["failed"] } });
    const both = { ok: true, value: { state: ["failed", "unknown"] } };
    expect(decodeQuery(schema, "state=failed&state=unknown")).toEqual(both);
  });

  test("a schema without named members accepts every parameter once", () => {
    expect(refusal(decodeQuery(v.record(v.string(), v.unknown()), "x=1&x=2"))).toBe(
      "400 invalid_request: x must be given once",
    );
  });

  test("__proto__ in a query changes no prototype and is not in the result", () => {
    const decoded = list("__proto__=x&constructor=y");
    expect(decoded).toEqual({ ok: true, value: {} });
    expect(Object.getPrototypeOf(decoded.ok ? decoded.value : null)).toBe(Object.prototype);
  });
});

test("every control operation, and no other one, names the conversation that it controls", () => {
  const [inQuery, inBody] = [{ agentId: "of-query" }, { agentId: "of-body" }];
  // A record, so that the compiler requires every control operation.
  const expected: Record<ControlOperation, object> = {
    stopTurn: inBody,
    changeMode: inBody,
    changeDirectory: inBody,
    resumeQueue: inBody,
    removeQueueItem: inQuery,
  };
  const targets = Object.values<KnownEndpoint>({ ...endpoints }).map((endpoint) => {
    const target = controlTargetOf(toDecodedRequest({ endpoint, params: {} }, { query: inQuery, body: inBody }));
    return [endpoint.operation, target] as const;
  });
  expect(Object.fromEntries(targets.filter(([, target]) => target !== null))).toEqual(expected);
});

describe("decodeRequest", () => {
  const decode = (method: string, path: string, query: string, body: string | null) => {
    const match = matchEndpoint(method, path);
    if (match.kind === "refused") throw new Error("no endpoint has this path");
    return decodeRequest(match, { query, body: body === null ? null : encode(body), contentType: "application/json" });
  };

  test("decodeRequest returns the operation with its ids and decoded values", () => {
    expect(decode("GET", "/v1/environments", "limit=5", null)).toEqual({
      ok: true,
      value: { operation: "listEnvironments", params: {}, query: { limit: 5 }, body: null },
    });
    expect(decode("POST", "/v1/environments/conn-1/messages", "", good)).toEqual({
      ok: true,
      value: { operation: "sendMessage", params: { connectionId: "conn-1" }, query: null, body: JSON.parse(good) },
    });
  });

  test("decodeRequest ignores a query and a body that the endpoint does not take", () => {
    expect(decode("GET", "/v1/environments/device-1", "limit=0", "{")).toEqual({
      ok: true,
      value: { operation: "retrieveEnvironment", params: { deviceId: "device-1" }, query: null, body: null },
    });
  });

  test("decodeRequest refuses a query and a body that break a rule", () => {
    expect(refusal(decode("GET", "/v1/environments", "limit=0", null))).toMatch(/^400 invalid_request: limit /);
    expect(refusal(decode("POST", "/v1/environments/conn-1/messages", "", "{"))).toMatch(/^400 malformed_json: /);
  });
});
