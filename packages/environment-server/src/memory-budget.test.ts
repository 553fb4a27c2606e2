import { expect, test } from "vitest";
import { createMemoryBudget, type MemoryBudget } from "./memory-budget.ts";

const limits = { maxOwnerBytes: 100, maxTotalBytes: 250 };

/** An account with the functions of its budget. */
interface TestAccount {
  readonly bytes: number;
  resize(bytes: number): void;
  markExpendable(): void;
  close(): void;
}

/** Opens an account of a key; by default, of a tenant with only this key. */
function open(budget: MemoryBudget, keyId: string, name: string, released: string[], tenant = keyId): TestAccount {
  const account = budget.open({ tenant, keyId }, (limit) => void released.push(`${name}: ${limit}`));
  return {
    get bytes() {
      return account.bytes;
    },
    resize: (bytes) => budget.resize(account, bytes),
    markExpendable: () => void (account.isExpendable = true),
    close: () => budget.close(account),
  };
}

test("a key over its limit loses its own largest account, and other keys lose none", () => {
  const budget = createMemoryBudget(limits);
  const released: string[] = [];
  const other = open(budget, "other", "other", released);
  other.resize(100);
  const small = open(budget, "greedy", "small", released);
  const large = open(budget, "greedy", "large", released);
  large.resize(90);
  small.resize(10);
  expect(released).toEqual([]);
  small.resize(11);
  expect(released).toEqual(["large: owner"]);
  expect([small.bytes, large.bytes, other.bytes, budget.totalBytes]).toEqual([11, 0, 100, 111]);
});

test.each([
  { names: ["a", "b", "c"], sizes: [100, 90, 84], expected: "a: total" },
  { names: ["a", "b", "c", "victim"], sizes: [100, 95, 50, 10], expected: "a: total" },
  { names: ["a", "b", "c"], sizes: [84, 90, 100], expected: "c: total" },
])("when the total is exceeded, the tenant with the most loses an account: $sizes", ({ names, sizes, expected }) => {
  const budget = createMemoryBudget(limits);
  const released: string[] = [];
  for (const [index, name] of names.entries()) open(budget, name, name, released).resize(sizes[index] ?? 0);
  expect(released).toEqual([expected]);
});

test("a tenant with many keys that use little each takes no memory of another tenant, and its key with the most loses an account", () => {
  const budget = createMemoryBudget(limits);
  const released: string[] = [];
  const other = open(budget, "other", "other", released);
  other.resize(40);
  for (let key = 0; key < 10; key++) open(budget, `key-${key}`, `key-${key}`, released, "greedy").resize(20 + key);
  expect(released).toEqual(["key-8: total", "key-9: total"]);
  other.resize(65);
  expect([released.at(-1), other.bytes]).toEqual(["key-7: total", 65]);
});

test("an expendable account is released before a larger one of the same key", () => {
  const budget = createMemoryBudget(limits);
  const released: string[] = [];
  const kept = open(budget, "a", "kept", released);
  kept.resize(30);
  kept.markExpendable();
  open(budget, "a", "live", released).resize(80);
  expect(released).toEqual(["kept: owner"]);
});

test("a budget can release the oldest account of a key instead of its largest one", () => {
  const budget = createMemoryBudget(limits, "oldest");
  const released: string[] = [];
  const sizes = { oldest: 10, largest: 80, newest: 11 };
  for (const [name, size] of Object.entries(sizes)) open(budget, "a", name, released).resize(size);
  expect([released, budget.totalBytes]).toEqual([["oldest: owner"], 91]);
});

test("a closed account has no bytes, and resizing it has no effect", () => {
  const budget = createMemoryBudget(limits);
  const account = open(budget, "a", "a", []);
  account.resize(50);
  account.close();
  account.resize(70);
  expect([account.bytes, budget.totalBytes]).toEqual([0, 0]);
});

test("an account that alone exceeds the limit releases itself", () => {
  const budget = createMemoryBudget(limits);
  const released: string[] = [];
  open(budget, "a", "a", released).resize(101);
  expect([released, budget.totalBytes]).toEqual([["a: owner"], 0]);
});
