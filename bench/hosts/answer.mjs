/** The answer that every host gives, with the fields that the gateway's answers have. */
export const body = new TextEncoder().encode("x".repeat(800));

export const headers = {
  "content-type": "application/json",
  "cache-control": "private, no-store",
  "x-content-type-options": "nosniff",
  "x-request-id": "req-1",
};
