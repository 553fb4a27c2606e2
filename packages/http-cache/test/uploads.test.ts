/** Bodies of requests on their way through a reverse proxy, with the server and the `fetch` of each runtime. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { connect } from "node:net";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { listen } from "./listen.ts";
import { env, runtimes } from "./runtimes/commands.ts";

/** Starts a reverse proxy on a runtime, and returns its port. It ends with the test. */
async function launchProxy(runtime: keyof typeof runtimes, origin: string): Promise<number> {
  const [command, ...words] = runtimes[runtime];
  const args = [...words, join(import.meta.dirname, "runtimes", "uploads.ts"), origin];
  const child = spawn(command, args, { env, stdio: ["ignore", "pipe", "inherit"] });
  onTestFinished(() => void child.kill());
  const ended = once(child, "close").then(() => Promise.reject(new Error("the proxy ended")));
  const [line] = await Promise.race([once(child.stdout.setEncoding("utf8"), "data"), ended]);
  return Number(line);
}

/** Sends the lines of a request's head, and what follows them. Returns the first line of the response. */
async function send(port: number, head: readonly string[], text: string): Promise<string> {
  const socket = connect(port, "127.0.0.1");
  onTestFinished(() => void socket.destroy());
  socket.write([...head, "host: example.test", "", text].join("\r\n"));
  const [data] = (await once(socket, "data")) as [Buffer];
  return data.toString().split("\r\n")[0] ?? "";
}

test.each(["Node.js", "Bun", "Deno"] as const)(
  "on %s, a request without a body reaches the origin without one, because some origins mistake the last chunk for a request",
  async (runtime) => {
    const codings: unknown[] = [];
    const origin = await listen((request, response) => {
      codings.push([request.method, request.headers["transfer-encoding"], request.headers["content-length"] ?? "0"]);
      response.end();
    });
    const port = await launchProxy(runtime, origin);
    const methods = ["POST", "PUT", "PATCH", "DELETE"];
    for (const method of methods)
      for (const fields of [[], ["content-length: 0"]])
        expect(await send(port, [`${method} / HTTP/1.1`, ...fields], "")).toBe("HTTP/1.1 200 OK");
    expect(codings).toEqual(methods.flatMap((method) => [0, 1].map(() => [method, undefined, "0"])));
  },
  30_000,
);

test.each([
  ["Node.js", "after", "5\r\nhello\r\n", "hel"],
  ["Bun", "before", "", ""],
  ["Deno", "before", "", ""],
] as const)(
  "on %s, an origin can refuse an upload %s its first byte, so that the client can stop sending",
  async (runtime, _, chunk, part) => {
    const origin = await listen((_request, response) => response.writeHead(401).end());
    const port = await launchProxy(runtime, origin);
    for (const method of ["POST", "PUT", "PATCH", "DELETE"]) {
      const head = `${method} / HTTP/1.1`;
      expect(await send(port, [head, "transfer-encoding: chunked"], chunk)).toBe("HTTP/1.1 401 Unauthorized");
      expect(await send(port, [head, "content-length: 5"], part)).toBe("HTTP/1.1 401 Unauthorized");
    }
  },
  30_000,
);
