/** Codes of failures before a connection is established: DNS, routing, refusal and TLS handshake (Node.js, undici, OpenSSL, Bun). */
const unsentCode =
  /^(?:ECONNREFUSED|ENOTFOUND|EAI_[A-Z]+|EHOSTUNREACH|ENETUNREACH|EADDRNOTAVAIL|UND_ERR_CONNECT_TIMEOUT|EPROTO|ERR_TLS_[A-Z_]+|ERR_SSL_[A-Z_0-9]+|CERT_[A-Z_]+|DEPTH_ZERO_SELF_SIGNED_CERT|SELF_SIGNED_CERT_IN_CHAIN|UNABLE_TO_[A-Z_]+|ConnectionRefused)$/;

/**
 * Returns whether a `fetch` failed before it sent anything, so that repeating the request is safe. Failures that are not
 * listed count as sent.
 */
export function failedBeforeSend(cause: unknown): boolean {
  for (let error = cause, depth = 0; error instanceof Error && depth < 8; error = error.cause, depth++) {
    if (error instanceof AggregateError && error.errors.length > 0) return error.errors.every(failedBeforeSend);
    // `fetch` blocks some ports (Fetch standard section 2.9).
    if (error.message === "bad port") return true;
    if ("code" in error && typeof error.code === "string") return unsentCode.test(error.code);
  }
  return false;
}
