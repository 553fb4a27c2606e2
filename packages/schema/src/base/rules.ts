/**
 * Rules that the schemas and the generated guards share. This module imports nothing, so that the guards work without
 * valibot. The generators find a rule by its function, so every rule is exported.
 */

/** Rows of a page when `limit` is absent. */
export const defaultListLimit = 50;

/** Largest number of rows in a page. */
export const maxListLimit = 100;

/** Maximum length of the id of a message, an agent or a conversation, in UTF-16 code units. */
export const maxReferenceLength = 256;

/** Maximum number of issues in one problem. */
export const maxIssues = 16;

/** Returns whether a text is a number of seconds. */
export function isWaitSeconds(text: string): boolean {
  return /^[0-9]{1,9}$/.test(text);
}

/** Returns whether a value is an object and not an array. */
export const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** Returns whether a text is a valid `limit`: an integer from 1 to {@link maxListLimit}. */
export function isListLimit(text: string): boolean {
  return /^[0-9]{1,9}$/.test(text) && Number(text) >= 1 && Number(text) <= maxListLimit;
}

/** Returns whether a text has the form of a cursor of a list of messages: a time, and an id in base64url. */
export function isMessageCursor(text: string): boolean {
  return /^[0-9]{1,15}\.[\w-]{4,4096}$/.test(text);
}

/**
 * Returns whether a text has no unpaired surrogates. Unpaired surrogates have no UTF-8 form: a store would save a different
 * text, and would not find a repeated id.
 */
export function isWellFormed(text: string): boolean {
  return !/\p{Surrogate}/u.test(text);
}

/** Returns whether a text is neither `.` nor `..`, which URL parsers resolve into another path, even when they are encoded. An id in a path is neither. */
export function isNoDotSegment(text: string): boolean {
  return !/^\.\.?$/.test(text);
}

/** Returns whether a value may be used as a reference in a path, percent-encoded: an id that its sender chose, such as a message id. See {@link isNoDotSegment}. */
export function isReference(value: unknown): boolean {
  return (
    typeof value === "string" &&
    value.length > 0 &&
    value.length <= maxReferenceLength &&
    !/^\.\.?$|\p{Surrogate}/u.test(value)
  );
}

/** Returns whether a text can be shown as a name: no control characters, no unpaired surrogates. */
export function isDisplayable(text: string): boolean {
  return !/[\p{Cc}\p{Surrogate}]/u.test(text);
}

/** Returns whether a text is a tag of a device. It needs no encoding in a URL, and no quotes in a shell. */
export function isTag(text: string): boolean {
  return /^[A-Za-z0-9][\w.:-]{0,63}$/.test(text);
}

/**
 * Returns whether a text is an absolute path that can be shown: of POSIX, with a drive letter, or of a Windows share, without
 * control characters and unpaired surrogates.
 */
export function isDirectory(text: string): boolean {
  return /^(?:\/|[A-Za-z]:[\\/]|\\\\)[^\p{Cc}\p{Surrogate}]*$/u.test(text);
}

/** Returns whether a member of `messages` is checked as an approval message instead of a user message. */
export function looksLikeApproval(message: unknown): boolean {
  return isRecord(message) && ("approvals" in message || message["type"] === "approval");
}

/** Returns whether a member of `approvals` is checked as a tool return instead of a decision. */
export function looksLikeToolReturn(approval: unknown): boolean {
  return isRecord(approval) && "status" in approval && !("approve" in approval);
}
