/**
 * Checks of options and arguments. Each throws an `invalid_argument` error that names the member and states the rule in words;
 * the value itself never appears, because it may be a secret.
 */
import { isRecord, isText } from "@letta-environments/schema/guards";
import { identifierRule, isIdentifier } from "@letta-environments/schema/identifier";
import { invalidArgument } from "./error.ts";

/** @throws LettaEnvironmentsError `invalid_argument` unless the rule holds. */
export function check(member: string, holds: boolean, rule: string): asserts holds {
  if (!holds) throw invalidArgument(member, rule);
}

/** Largest number of milliseconds or bytes that an option takes. */
const maxInteger = 999_999_999;

/** Checks a whole number. Default range: 1 to 999,999,999. */
export function checkInteger(member: string, value: unknown, minimum = 1, maximum: number = maxInteger): void {
  const isInRange = Number.isInteger(value) && Number(value) >= minimum && Number(value) <= maximum;
  check(member, isInRange, `must be an integer from ${minimum} to ${maximum}`);
}

/** Checks a string that has at least one character. */
export function checkText(member: string, value: unknown): void {
  check(member, isText(value) && value !== "", "must be a non-empty string");
}

/** Checks a secret or key that goes into a header unchanged. Quotes and backslashes are excluded so that JSON never escapes it. */
export function checkToken(member: string, value: unknown): asserts value is string {
  const rule =
    "must be a non-empty string without spaces or control characters (visible ASCII, no quotes or backslashes)";
  check(member, isText(value) && /^[!#-[\]-~]+$/.test(value), rule);
}

/** Checks an id that goes into a path, or a cursor. */
export function checkIdentifier(member: string, value: unknown): void {
  check(member, isIdentifier(value), `must be ${identifierRule}`);
}

/** Checks `true` and `false`. */
export function checkFlag(member: string, value: unknown): void {
  check(member, typeof value === "boolean", "must be true or false");
}

/** Checks a function. */
export function checkFunction(member: string, value: unknown): void {
  check(member, typeof value === "function", "must be a function");
}

/** Checks an object with named members; a list is not one. */
export function checkRecord(member: string, value: unknown): void {
  check(member, isRecord(value), "must be an object");
}

/** Checks that an object has no other members: if a misspelt one were ignored, the others would have a wider effect. */
export function checkMembers(member: string, value: object, known: readonly string[]): void {
  checkRecord(member, value);
  for (const name of Object.keys(value)) check(name, known.includes(name), "is not a known member");
}

/** Checks a list of objects that has at least one item. */
export function checkRecords(member: string, value: unknown): asserts value is readonly object[] {
  check(member, Array.isArray(value) && value.length > 0, "must be a non-empty list");
  for (const [index, item] of value.entries()) checkRecord(`${member}[${index}]`, item);
}
