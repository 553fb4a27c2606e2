import { expect, test } from "vitest";
import { passedRequest } from "./passed-request.ts";

function readSent(text: string, contentLength: number): Promise<unknown> {
  const body = new ReadableStream({
    start(controller) {
      if (text !== "") controller.enqueue(new TextEncoder().encode(text));
      controller.close();
    },
  });
  const headers = { "content-length": String(contentLength) };
  const init = { method: "POST", headers, body, duplex: "half" } as const;
  return passedRequest(new Request("https://app.example/letta/x", init), null, "/letta").readBody({ maxBytes: 4 });
}

test("a body that is empty despite its Content-Length was consumed before the gateway, as by a body parser of Express or Fastify", async () => {
  await expect(readSent("", 3)).rejects.toThrow("was read before it reached the gateway");
  expect(await readSent("", 0)).toBeNull();
});

test("a body that the program has rewritten is read whole, whatever its Content-Length says", async () => {
  expect(await readSent("ab", 3)).toEqual(new TextEncoder().encode("ab"));
  expect(await readSent("abc", 3)).toEqual(new TextEncoder().encode("abc"));
  expect(await readSent("abcde", 5)).toBe("too_large");
});
