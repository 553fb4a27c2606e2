import { expect, test } from "vitest";
import { testDigests, testMint, testPepper } from "../../test/support/test-proxy.ts";
import { createTestKeyRecord } from "../../test/support/create-test-key-record.ts";
import {
  createKey,
  disableKey,
  enableKey,
  keyState,
  mintSecret,
  patchKey,
  revokeKey,
  rotateKey,
} from "./key-lifecycle.ts";
import { addSession, createLink, redeemLink } from "./sign-in.ts";

const now = 1_800_000_000_000;
const hour = 3_600_000;
const { key, record } = createKey(
  { name: "n", tenant: "default", scopes: ["list"], deviceIds: null, shared: false, expiresAt: now + hour },
  now,
  testMint,
);

test("a key record contains nothing that reveals the key", () => {
  expect(JSON.stringify(record)).not.toContain(key);
  expect(JSON.stringify(record)).not.toContain(key.slice(17));
  expect(record).toMatchObject({ owner: "n", createdAt: now, revokedAt: null });
  expect(key).toContain(record.id);
});

test("a rotation keeps id, owner and expiry, and leaves at most two secrets", () => {
  const [first, second] = [mintSecret(record.id, now, testMint), mintSecret(record.id, now, testMint)];
  const once = rotateKey(record, first.secret, now, hour);
  const twice = rotateKey(once, second.secret, now + 1_000, hour);
  expect(twice.secrets).toEqual([second.secret, { ...first.secret, expiresAt: now + 1_000 + hour }]);
  expect({ ...twice, secrets: [] }).toEqual({ ...record, secrets: [] });
});

test("a rotation without overlap ends the old secret at once", () => {
  const { secret } = mintSecret(record.id, now, testMint);
  expect(rotateKey(record, secret, now, 0).secrets).toEqual([secret]);
});

test("a rotation ends sign-in links and sessions, including those of a key without an ordinary secret", () => {
  const mint = (id: string) => mintSecret(id, now, testMint).secret;
  const { key: linkKey, record: link } = createLink({ name: "console", tenant: "default", scopes: [] }, now, testMint);
  const { id } = link;
  const signedIn = redeemLink(link, linkKey, mint(id), { digests: testDigests, pepper: testPepper, nowMs: now });
  const next = mint(id);
  expect(rotateKey(link, next, now, hour)).toEqual({ ...link, requires: [], secrets: [next] });
  expect(signedIn?.secrets.map(({ use }) => use)).toEqual(["session"]);
  expect(rotateKey(signedIn ?? link, next, now, hour).secrets).toEqual([next]);
  const [{ secrets }, ordinary] = [
    rotateKey(addSession(record, mint(record.id), now), next, now, hour),
    record.secrets,
  ];
  expect(secrets).toEqual([next, ...ordinary.map((secret) => ({ ...secret, expiresAt: now + hour }))]);
});

test("the key of a sign-in link requires gateways that support links, until the link is used or the key is rotated", () => {
  const mint = (id: string) => mintSecret(id, now, testMint).secret;
  const { key: linkKey, record: link } = createLink({ name: "console", tenant: "default", scopes: [] }, now, testMint);
  const used = redeemLink(link, linkKey, mint(link.id), { digests: testDigests, pepper: testPepper, nowMs: now });
  const rotated = rotateKey(link, mint(link.id), now, 0);
  expect([link, used, rotated].map((state) => state?.requires)).toEqual([["sign-in-link"], [], []]);
});

test("a key stays active when the overlap of its rotation ends", () => {
  const lasting = { ...record, expiresAt: null };
  const rotated = rotateKey(lasting, mintSecret(record.id, now, testMint).secret, now, hour);
  expect(
    [rotated, { ...rotated, secrets: rotated.secrets.slice(1) }].map((state) => keyState(state, now + hour)),
  ).toEqual(["active", "expired"]);
});

test("a key that sets a mode requires gateways that support this, until it no longer sets one", () => {
  const newer = { ...record, requires: ["newer"] };
  const setting = patchKey(newer, { setMode: "standard" }, now);
  expect(setting).toMatchObject({ setMode: "standard", requires: ["newer", "set-mode"] });
  expect(patchKey(setting, { setMode: null }, now)).toEqual(newer);
  expect(keyState(patchKey(record, { setMode: "standard" }, now), now)).toBe("active");
});

test("a second revocation keeps the date of the first", () => {
  expect(revokeKey(revokeKey(record, now), now + 5).revokedAt).toBe(now);
});

test("a key is active until it expires, and a revoked key is revoked whether or not it has expired", () => {
  expect(keyState(record, now + hour - 1)).toBe("active");
  expect(keyState(record, now + hour)).toBe("expired");
  expect(keyState(revokeKey(record, now), now + hour)).toBe("revoked");
});

test("enabling a disabled key restores it, and disabling it twice keeps the first date", () => {
  const disabled = disableKey(disableKey(record, now), now + 5);
  expect(disabled.disabledAt).toBe(now);
  expect(keyState(disabled, now)).toBe("disabled");
  expect(enableKey(disabled)).toEqual(record);
  expect(keyState(enableKey(revokeKey(disabled, now)), now)).toBe("revoked");
});

test("a key that an earlier version has disabled with its sessions has none of them once it is enabled", () => {
  const session = { ...mintSecret(record.id, now, testMint).secret, use: "session" as const, expiresAt: now + hour };
  const present = { ...record, secrets: [...record.secrets, session] };
  const disabled = { ...present, disabledAt: now };
  expect(enableKey(disabled)).toEqual(record);
  expect(keyState(enableKey({ ...disabled, secrets: [session] }), now)).toBe("expired");
  expect(enableKey(present)).toEqual(present);
});

test("a key that requires a feature this version does not support is unsupported, unless it has ended or is disabled", () => {
  const record = createTestKeyRecord({ requires: ["new"] });
  expect(keyState(record, now)).toBe("unsupported");
  expect(keyState(disableKey(record, now), now)).toBe("disabled");
  expect(keyState(revokeKey(record, now), now)).toBe("revoked");
  expect(keyState({ ...record, requires: [] }, now)).toBe("active");
});

test("a key with a rate limit that this version cannot read is unsupported", () => {
  expect(keyState(createTestKeyRecord({ rateLimits: { gone: "2/1w", other: "2/1y" } }), now)).toBe("unsupported");
  expect(keyState(createTestKeyRecord({ rateLimits: { gone: "2/1w", other: "none" } }), now)).toBe("active");
});
