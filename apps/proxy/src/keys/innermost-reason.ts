/** A failure in one short text: the innermost cause says most, such as `connect ECONNREFUSED` or `WRONGPASS`. */
export function innermostReason(cause: unknown): string {
  if (!(cause instanceof Error)) return String(cause);
  return cause.cause instanceof Error ? innermostReason(cause.cause) : cause.message;
}
