/** A failure in words, with what led to it. For logs only. */
export function describeCause(cause: unknown): string | null {
  if (cause === null || cause === undefined) return null;
  if (!(cause instanceof Error)) return typeof cause === "string" ? cause : JSON.stringify(cause);
  const parts = [cause.stack ?? String(cause)];
  for (let error = cause.cause; error instanceof Error && parts.length < 4; error = error.cause)
    parts.push(String(error));
  return parts.join(" <- ");
}
