/**
 * Cuts the arguments of a tool to a length, so that endless arguments cannot fill memory and what is shown still is a valid object:
 * long texts are shortened, and members and items that do not fit are left out.
 */
import { isMembers, type Members } from "./values.ts";

/** The arguments, and whether something of them is missing. */
export interface BoundedInput {
  readonly input: Readonly<Record<string, unknown>> | null;
  readonly isCut: boolean;
}

/** Objects and lists that are nested deeper than this are left out. */
const maxDepth = 8;
/** The cost of a member, an item or a number, in characters. */
const valueCost = 8;

/** Returns at most about `maxLength` characters of an input; `null` when it is not an object. */
export function boundInput(value: unknown, maxLength: number): BoundedInput {
  if (!isMembers(value)) return { input: null, isCut: false };
  const budget = { left: maxLength, isCut: false };
  return { input: boundMembers(value, budget, 1), isCut: budget.isCut };
}

interface Budget {
  left: number;
  isCut: boolean;
}

function boundMembers(members: Members, budget: Budget, depth: number): Record<string, unknown> {
  const kept: [string, unknown][] = [];
  for (const [name, value] of Object.entries(members)) {
    const cost = name.length + valueCost;
    if (cost > budget.left) {
      budget.isCut = true;
      break;
    }
    budget.left -= cost;
    kept.push([name, boundValue(value, budget, depth)]);
  }
  // Unlike an assignment, this makes `__proto__` a member.
  return Object.fromEntries(kept);
}

function boundValue(value: unknown, budget: Budget, depth: number): unknown {
  if (typeof value === "string") {
    const text = value.slice(0, budget.left);
    budget.isCut ||= text.length < value.length;
    budget.left -= text.length;
    return text;
  }
  if (typeof value !== "object" || value === null) return value;
  if (depth >= maxDepth) {
    budget.isCut = true;
    return null;
  }
  if (!Array.isArray(value)) return isMembers(value) ? boundMembers(value, budget, depth + 1) : null;
  const items: unknown[] = [];
  for (const item of value) {
    if (valueCost > budget.left) {
      budget.isCut = true;
      break;
    }
    budget.left -= valueCost;
    items.push(boundValue(item, budget, depth + 1));
  }
  return items;
}
