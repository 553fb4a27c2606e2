import { expect, test } from "vitest";
import { createNodeHost } from "./node-host.ts";

test("a line is not read while another one is, so that it cannot answer two questions", async () => {
  const { stdin } = createNodeHost();
  const cancelled = new AbortController();
  const first = stdin.readLine(() => undefined, cancelled.signal);
  await expect(stdin.readLine(() => undefined, cancelled.signal)).rejects.toThrow("another line is being read");
  expect(await stdin.readLine(() => undefined, AbortSignal.abort())).toBeNull();
  cancelled.abort();
  expect(await first).toBeNull();
});
