/** The session of the page: signing in and out, and what its key may do. */
import { computed, type ReadonlySignal, signal } from "@preact/signals";
import { gatewayUrl } from "../platform/browser.ts";
import { forgetOtherKeys } from "../platform/tab.ts";

/** The session, as `/console/session` describes it. */
export interface SessionInfo {
  readonly keyId: string;
  readonly keyName: string;
  readonly tenant: string;
  readonly scopes: readonly string[];
  readonly maxMode: string | null;
  /** Epoch milliseconds. */
  readonly expiresAt: number | null;
  readonly gateway: {
    readonly version: string;
    readonly publicUrl: string | null;
    readonly servesDevices: boolean;
    /** `false`: the gateway has no events, approvals, control, figures, explanations and search of the audit log. */
    readonly servesExtensions: boolean;
    readonly isAdministered: boolean;
    readonly deviceVersion: string;
  };
}

/** The state of the session. `ended`: it was valid earlier. `failed`: the gateway does not respond. */
export type SessionState =
  | { readonly kind: "unknown" }
  | { readonly kind: "signed_out"; readonly reason: string | null }
  | { readonly kind: "ended" }
  | { readonly kind: "failed"; readonly reason: string }
  | { readonly kind: "signed_in"; readonly info: SessionInfo };

/** The session. */
export const session = signal<SessionState>({ kind: "unknown" });

/** The description of the session; `null` while nobody is signed in. */
export const info: ReadonlySignal<SessionInfo | null> = computed(() =>
  session.value.kind === "signed_in" ? session.value.info : null,
);

/** Whether the key of the session has a scope. */
export function may(scope: string): boolean {
  return info.value?.scopes.includes(scope) ?? false;
}

/** Whether gateways of this kind have the extensions (events, approvals, control). The server behind it may still lack them. */
export function hasExtensions(): boolean {
  return info.value?.gateway.servesExtensions === true;
}

/** Whether the session sees requests for permission: the key permits it, and the gateway has them. */
export function maySeeApprovals(): boolean {
  return may("approve") && hasExtensions();
}

/** Whether the session decides on requests for permission. A decision is a message. */
export function mayDecide(): boolean {
  return maySeeApprovals() && may("send");
}

/** Whether the session stops turns and changes modes. */
export function mayControl(): boolean {
  return may("control") && hasExtensions();
}

/** Whether the session changes names and tags of devices. Not {@link mayAdminister}: every listener serves the API that changes them. */
export function mayLabel(): boolean {
  return may("admin") && hasExtensions();
}

/** Whether the session administers keys: the key permits it, and this listener serves the administration. */
export function mayAdminister(): boolean {
  return may("admin") && info.value?.gateway.isAdministered === true;
}

/** Whether the session sees the overview and the audit log. */
export function mayOversee(): boolean {
  return mayAdminister() && hasExtensions();
}

const unreachable = "The gateway does not respond. Check that it runs and that you are connected to its network.";

/** The time limit of a request of the session, in milliseconds: others wait for one that signs out. */
const timeoutMs = 10_000;

let shownKeyHeader: Readonly<Record<string, string>> = {};

/**
 * The header that names the key of this page in a request, even after its session has ended. Tabs of a browser share the cookie: when another one has
 * signed in with another key, the gateway refuses what this page does.
 */
export function keyHeader(): Readonly<Record<string, string>> {
  return shownKeyHeader;
}

/** A request of this page, with a JSON body if it has one. */
export function jsonRequest(method: string, body?: object, headers = keyHeader()): RequestInit {
  if (body === undefined) return { method, headers };
  return { method, headers: { ...headers, "content-type": "application/json" }, body: JSON.stringify(body) };
}

async function request(...options: Parameters<typeof jsonRequest>): Promise<Response | null> {
  const init = { ...jsonRequest(...options), signal: AbortSignal.timeout(timeoutMs) };
  return fetch(`${gatewayUrl()}/console/session`, init).catch(() => null);
}

/** Reads the session of the cookie, at the start of the page. @param hasLink whether a link signs in next if there is no session */
export async function readSession(hasLink = false): Promise<void> {
  const response = await request("GET");
  if (response === null) session.value = { kind: "failed", reason: unreachable };
  else if (response.status === 204)
    session.value = hasLink ? { kind: "unknown" } : { kind: "signed_out", reason: null };
  else if (response.ok) begin((await response.json()) as SessionInfo);
  else session.value = { kind: "failed", reason: await reasonOf(response) };
}

/** Signs in with a key, or with the secret of a link. Resolves with the reason if it was refused, else with `null`. */
export async function signIn(credential: { readonly key: string } | { readonly link: string }): Promise<string | null> {
  const response = await request("POST", credential);
  if (response === null) return unreachable;
  if (!response.ok) return reasonOf(response);
  const opened = (await response.json()) as SessionInfo;
  if (opened.scopes.every((scope) => scope === "connect")) {
    await request("DELETE", undefined, headerOf(opened));
    session.value = { kind: "signed_out", reason: null };
    return "This key is for devices. Sign in with a key for clients.";
  }
  begin(opened);
  return null;
}

function headerOf({ keyId }: SessionInfo): Readonly<Record<string, string>> {
  return { "x-console-key": keyId };
}

function begin(opened: SessionInfo): void {
  forgetOtherKeys(opened.keyId);
  shownKeyHeader = headerOf(opened);
  session.value = { kind: "signed_in", info: opened };
}

let signingOut: Promise<void> | null = null;

/** Ends the session, here and in the gateway. */
export async function signOut(): Promise<void> {
  signingOut = endSession();
  await signingOut.finally(() => (signingOut = null));
}

async function endSession(): Promise<void> {
  const response = await request("DELETE");
  if (response === null || !response.ok) throw new Error(response === null ? unreachable : await reasonOf(response));
  forgetOtherKeys(null);
  session.value = { kind: "signed_out", reason: "You are signed out." };
}

/** Waits for a sign-out in progress, because the gateway refuses requests after it. @throws Error if the session has ended since */
export async function awaitSignOut(): Promise<void> {
  if (signingOut === null) return;
  await signingOut.catch(() => undefined);
  if (session.value.kind !== "signed_in") throw new Error("You are signed out.");
}

/** Notes that the gateway no longer accepts the session. */
export function noteSessionEnd(): void {
  if (session.value.kind === "signed_in") session.value = { kind: "ended" };
}

async function reasonOf(response: Response): Promise<string> {
  if (response.status === 429) return "Too many attempts. Wait a minute and try again.";
  const { detail } = (await response.json().catch(() => ({}))) as { readonly detail?: unknown };
  if (typeof detail === "string") return detail;
  return response.status === 401 ? "The key is not valid." : `The gateway responded with ${response.status}.`;
}
