import { deepStrictEqual } from "node:assert";
import { test } from "node:test";
import { createMemoryCacheStore, webClock } from "@letta-environments/http-cache";
import { storeContract } from "@letta-environments/http-cache/testing";

// Replace createMemoryCacheStore with your own store.
storeContract({ test, equal: deepStrictEqual }, () => createMemoryCacheStore({ clock: webClock }));
