/**
 * Why the gateway on Bun and Deno listens through `node:http` and not through the runtime's own server: what decision 0010 rests on. A test
 * that fails here is a reason to decide anew.
 */
import { join } from "node:path";
import { type LaunchedProcess, launchProcess } from "@letta-environments/testkit";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openSocket, parseResponse, type RawResponse, readToEnd } from "../support/raw-http.ts";
import { runtimeProgram } from "./runtime-commands.ts";

const folder = join(import.meta.dirname, "native-servers");
const head = (line: string, more: string = ""): string =>
  `${line}\r\nHost: a.example\r\nConnection: close\r\n${more}\r\n`;
const read = (path: string): string => head(`GET ${path} HTTP/1.1`);

function useServer(program: "bun" | "deno", words: readonly string[]): (bytes: string) => Promise<RawResponse> {
  let server: LaunchedProcess;
  let url = "";
  beforeAll(async () => {
    server = launchProcess({ command: runtimeProgram(program), args: words, cwd: folder });
    [, url = ""] = await server.waitForOutput(/listening (\S+)/);
  });
  afterAll(() => server.stop("SIGKILL"));
  return async (bytes) => {
    const socket = await openSocket(url);
    const answered = readToEnd(socket);
    socket.write(bytes, "latin1");
    return parseResponse(await answered);
  };
}

function urlIn({ body }: RawResponse): unknown {
  return (JSON.parse(body) as Record<string, unknown>)["url"];
}

describe("Bun.serve", () => {
  const send = useServer("bun", ["bun-serve.js"]);

  test("Bun.serve resolves dot segments, including encoded ones, before the handler sees the path", async () => {
    expect(urlIn(await send(read("/v1/../livez")))).toBe("http://a.example/livez");
    expect(urlIn(await send(read("/v1/environments/%2E%2e")))).toBe("http://a.example/v1/");
    expect(urlIn(await send(read("/v1\\environments")))).toBe("http://a.example/v1/environments");
  });

  test("Bun.serve closes the connection on an unknown method, and responds to malformed requests without a body", async () => {
    expect((await send(head("FOO /v1 HTTP/1.1"))).status).toBeNaN();
    const malformed = await send(head("GET /v1 HTTP/1.1", "a : b\r\n"));
    expect([malformed.status, malformed.body]).toEqual([400, ""]);
  });
});

describe("Deno.serve", () => {
  const send = useServer("deno", ["run", "--no-config", "--no-lock", "--allow-net", "deno-serve.js"]);

  test("Deno.serve passes the path unchanged", async () => {
    expect(urlIn(await send(read("/v1/../livez")))).toBe("http://a.example/v1/../livez");
  });

  test("Deno.serve responds to malformed requests without a body, and copies a Host that is a path into the URL", async () => {
    const malformed = await send(head("GET /v1 HTTP/1.1", "a : b\r\n"));
    expect([malformed.status, malformed.body]).toEqual([400, ""]);
    const authority = await send("GET /v1 HTTP/1.1\r\nHost: x/../y\r\nConnection: close\r\n\r\n");
    expect(urlIn(authority)).toBe("http://x/../y/v1");
  });

  test("Deno.serve accepts lines without CR, and a header field of 20 KB", async () => {
    expect((await send("GET /v1 HTTP/1.1\nHost: a\nConnection: close\n\n")).status).toBe(200);
    expect((await send(head("GET /v1 HTTP/1.1", `a: ${"x".repeat(20_000)}\r\n`))).status).toBe(200);
  });
});
