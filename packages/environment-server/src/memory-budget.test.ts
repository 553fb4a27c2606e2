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

function open(budget: MemoryBudget, owner: string, name: string, released: string[]): TestAccount {
  const account = budget.open(owner, (limit) => void released.push(`${name}: ${limit}`));
  return {
    get bytes() {
      return account.bytes;
    },
    resize: (bytes) => budget.resize(account, bytes),
    markExpendable: () => void (account.isExpendable = true),
    close: () => budget.close(account),
  };
}

test("an owner over its limit loses its own largest account, and other owners lose none", () => {
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

test("when the total is exceeded, an owner over its share loses its own account", () => {
  const budget = createMemoryBudget(limits);
  const released: string[] = [];
  open(budget, "a", "a", released).resize(100);
  open(budget, "b", "b", released).resize(90);
  open(budget, "c", "c", released).resize(84);
  expect(released).toEqual(["c: total"]);
  expect(budget.totalBytes).toBe(190);
});

test("when the total is exceeded, an owner below its share loses nothing; the one with the most does", () => {
  const budget = createMemoryBudget(limits);
  const released: string[] = [];
  open(budget, "a", "a", released).resize(100);
  open(budget, "b", "b", released).resize(95);
  open(budget, "c", "c", released).resize(50);
  open(budget, "victim", "victim", released).resize(10);
  expect(released).toEqual(["a: total"]);
});

test("an expendable account is released before a larger one of the same owner", () => {
  const budget = createMemoryBudget(limits);
  const released: string[] = [];
  const kept = open(budget, "a", "kept", released);
  kept.resize(30);
  kept.markExpendable();
  open(budget, "a", "live", released).resize(80);
  expect(released).toEqual(["kept: owner"]);
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
