import { expect, test } from "vitest";
import { describeKeyStore } from "../../../test/key-store-contract.ts";
import { createTestKeyRecord } from "../../../test/support/create-test-key-record.ts";
import { createMemoryKeyStore } from "./key-store.ts";

describeKeyStore("in memory", { generationBoundMs: 0, storesText: false }, () => {
  const store = createMemoryKeyStore();
  return { connect: () => Promise.resolve(store), settle: () => Promise.resolve() };
});

test("a full store refuses another key and keeps the existing ones", async () => {
  const store = createMemoryKeyStore(1);
  const record = createTestKeyRecord();
  await store.create(record);
  await expect(store.create(createTestKeyRecord())).rejects.toThrow("takes no more");
  expect(await store.list()).toEqual([record]);
});
