import { expect, test } from "vitest";
import { readWebBody } from "./request.ts";

type WebBody = Parameters<typeof readWebBody>[0];

interface Watched {
  readonly isCancelled: () => boolean;
}

function requestOf(chunks: readonly (string | Error)[], headers: Record<string, string> = {}): WebBody & Watched {
  const rest = [...chunks];
  let isCancelled = false;
  const body = new ReadableStream<Uint8Array>({
    pull(controller) {
      const next = rest.shift();
      if (next === undefined) controller.close();
      else if (typeof next === "string") controller.enqueue(new TextEncoder().encode(next));
      else controller.error(next);
    },
    cancel: () => void (isCancelled = true),
  });
  return { body, headers: new Headers(headers), isCancelled: () => isCancelled };
}

test("a body of several chunks is read whole, and none is null", async () => {
  const bytes = await readWebBody(requestOf(["ab", "", "cd"]), 4);
  expect(bytes instanceof Uint8Array && new TextDecoder().decode(bytes)).toBe("abcd");
  expect(await readWebBody(requestOf([]), 4)).toBeNull();
  expect(await readWebBody({ body: null, headers: new Headers() }, 4)).toBeNull();
});

test("a body that grows beyond the limit is given up, and one that announces it is not read", async () => {
  const growing = requestOf(["abc", "de", "never"]);
  expect([await readWebBody(growing, 4), growing.isCancelled()]).toEqual(["too_large", true]);
  const announced = requestOf(["abcde"], { "content-length": "5" });
  expect([await readWebBody(announced, 4), announced.isCancelled()]).toEqual(["too_large", true]);
});

test("a body that breaks off is no body", async () => {
  expect(await readWebBody(requestOf(["ab", new Error("reset")]), 4)).toBe("aborted");
});
