/** Failures before a connection stood: names, routes, refusals, and TLS handshakes (Node.js, undici, OpenSSL, Bun). */
const unsentCode =
  /^(?:ECONNREFUSED|ENOTFOUND|EAI_[A-Z]+|EHOSTUNREACH|ENETUNREACH|EADDRNOTAVAIL|UND_ERR_CONNECT_TIMEOUT|EPROTO|ERR_TLS_[A-Z_]+|ERR_SSL_[A-Z_0-9]+|CERT_[A-Z_]+|DEPTH_ZERO_SELF_SIGNED_CERT|SELF_SIGNED_CERT_IN_CHAIN|UNABLE_TO_[A-Z_]+|ConnectionRefused)$/;

/**
 * Tells whether a failed `fetch` has sent nothing, so that repeating it can do nothing twice. Whatever is not known to be
 * harmless counts as sent.
 */
export function isSurelyUnsent(cause: unknown): boolean {
  for (let error = cause, depth = 0; error instanceof Error && depth < 8; error = error.cause, depth++) {
    if (error instanceof AggregateError && error.errors.length > 0) return error.errors.every(isSurelyUnsent);
    // A port that `fetch` refuses by itself (Fetch standard section 2.9).
    if (error.message === "bad port") return true;
    if ("code" in error && typeof error.code === "string") return unsentCode.test(error.code);
  }
  return false;
}
