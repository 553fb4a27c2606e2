import { expect, test } from "vitest";
import type { CacheEntry, CacheStore } from "../ports.ts";
import { createGuardedStore } from "./guarded-store.ts";

const entry = { groups: ["group"] as readonly string[] } as CacheEntry;

test("a response whose group is invalidated while it is written to a remote store is deleted again", async () => {
  const stored = new Map<string, CacheEntry>();
  let write = (): void => undefined;
  const remote: CacheStore = {
    get: async (key) => [stored.get(key)].filter((found) => found !== undefined),
    put: (key, added) =>
      new Promise<void>((resolve) => {
        write = () => {
          stored.set(key, added);
          resolve();
        };
      }),
    delete: async (key) => void stored.delete(key),
    deleteGroup: async () => stored.clear(),
  };
  const store = createGuardedStore(remote, () => undefined);
  const request = store.begin("key");
  const put = request.put(entry);
  await store.invalidate({ groups: ["group"] });
  write();
  expect(await put).toBe("outdated");
  expect(await store.get("key")).toEqual([]);
});
