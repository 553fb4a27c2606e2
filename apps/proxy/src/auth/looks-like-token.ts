const tokenPattern = /^eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*$/;

/** Whether a credential has the shape of a signed token (RFC 7515 section 7.1): a JSON header and two more parts. */
export function looksLikeToken(credential: string): boolean {
  return tokenPattern.test(credential);
}
