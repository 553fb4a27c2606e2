import type { PlainHeaders } from "@letta-environments/schema";

/** A list of Strings or Tokens with parameters (RFC 9651), as far as a list that follows ours must be to stay one. */
const item = String.raw`(?:"(?:[ !#-\[\]-~]|\\["\\])*"|[A-Za-z*][\w!#$%&'*+.^\x60|~:/-]*)`;
const bare = String.raw`(?:${item}|-?\d{1,15}(?:\.\d{1,3})?|\?[01]|:[A-Za-z0-9+/=]*:)`;
const member = String.raw`${item}(?: *; *[a-z*][a-z0-9_.*-]*(?:=${bare})?)*`;
const listPattern = new RegExp(`^${member}(?:[ \\t]*,[ \\t]*${member})*$`);
const maxLength = 1_024;

/** Older fields, those of earlier drafts and those that every vendor writes in its own way: only their characters are checked. */
const olderName = /^(?:x-ratelimit-[a-z-]{1,32}|ratelimit-(?:limit|remaining|reset))$/;
const olderValue = /^[\x21-\x7e][\x20-\x7e]{0,127}$/;

/** For how many seconds a server of ours recognises a repeated message id. */
const deduplication = "x-message-deduplication";

/** The header fields of an upstream that every response passes on, if they are well-formed: its rate limits and its deduplication. */
export function passedFields(headers: PlainHeaders): PlainHeaders {
  return { ...upstreamLimitFields(headers), ...deduplicationField(headers) };
}

/** The deduplication of an upstream, if it is well-formed. */
export function deduplicationField(headers: PlainHeaders): PlainHeaders {
  const seconds = headers[deduplication];
  return seconds !== undefined && /^[0-9]{1,9}$/.test(seconds) ? { [deduplication]: seconds } : {};
}

/** The rate limits of an upstream, if they are well-formed. Callers see them beside those of the gateway. */
export function upstreamLimitFields(headers: PlainHeaders): PlainHeaders {
  const passed: Record<string, string> = {};
  for (const [name, value] of Object.entries(headers)) {
    const isList = name === "ratelimit" || name === "ratelimit-policy";
    const isPassed = isList
      ? value.length <= maxLength && listPattern.test(value)
      : olderName.test(name) && olderValue.test(value);
    if (isPassed) passed[name] = value;
  }
  return passed;
}
