import type { Cache, DurableObjectNamespace, DurableObjectStorage } from "@cloudflare/workers-types";
import type { DurableStorage } from "@letta-environments/platform/cloudflare";
import { expectTypeOf, test } from "vitest";
import type { ObjectNamespace } from "../../src/runtimes/cloudflare/settings.ts";

test("our declaration of cloudflare:workers agrees with Cloudflare's types", () => {
  expectTypeOf<DurableObjectStorage["transactionSync"]>().toExtend<DurableStorage["transactionSync"]>();
  expectTypeOf<DurableObjectStorage["sql"]["exec"]>().toBeCallableWith("SELECT ?", 1, "a", null, new ArrayBuffer(1));
  expectTypeOf<DurableObjectStorage["getAlarm"]>().toExtend<() => Promise<number | null>>();
  expectTypeOf<DurableObjectStorage["setAlarm"]>().toExtend<(atMs: number) => Promise<void>>();
  expectTypeOf<DurableObjectStorage["deleteAll"]>().toExtend<() => Promise<void>>();
  expectTypeOf<DurableObjectNamespace>().toExtend<ObjectNamespace<object>>();
  expectTypeOf<Cache["delete"]>().toBeCallableWith("https://a.invalid/");
});
