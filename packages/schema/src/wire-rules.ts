import { isRecord } from "./is-record.ts";

/** Rows of a page when `limit` is absent. */
export const defaultListLimit = 50;

/** Largest page a caller may ask for. */
export const maxListLimit = 100;

/** Whether a text is a number of rows a page: 1 to {@link maxListLimit}. */
export function isListLimit(text: string): boolean {
  return /^[0-9]{1,9}$/.test(text) && Number(text) >= 1 && Number(text) <= maxListLimit;
}

/**
 * Whether a text is Unicode without unpaired surrogates. One with them has no UTF-8: a store would keep another text, under
 * which a repeat is not found.
 */
export function isWellFormed(text: string): boolean {
  return !/\p{Surrogate}/u.test(text);
}

/** Whether a text can be a name that people read: no control characters, no unpaired surrogates. */
export function isDisplayable(text: string): boolean {
  return !/[\p{Cc}\p{Surrogate}]/u.test(text);
}

/** Whether a message is meant as answers to requests for permission, so that it is checked as such. */
export function isMeantAsApproval(message: unknown): boolean {
  return isRecord(message) && ("approvals" in message || message["type"] === "approval");
}

/** Whether a member of `approvals` is meant as the result of a tool. */
export function isMeantAsToolReturn(approval: unknown): boolean {
  return isRecord(approval) && "status" in approval && !("approve" in approval);
}
