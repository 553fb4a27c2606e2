import { createServer } from "node:net";
import { expect, test } from "vitest";
import { listen } from "./listen.ts";

test.each([
  ["nosuch.invalid", "nosuch.invalid does not resolve to an address; see --host"],
  ["192.0.2.1", "192.0.2.1 is not an address of this machine; see --host"],
])("a start that cannot listen on %s says why", async (host, message) => {
  await expect(listen(createServer(), { host, port: 0 })).rejects.toThrow(message);
});
