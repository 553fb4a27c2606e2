import type { PlainHeaders } from "@letta-environments/schema";
import type { KeyRequest } from "../../src/keys/key-lifecycle.ts";
import type { ShownKey } from "../../src/keys/key-view.ts";
import { fakeRequest } from "./fake-request.ts";
import { bodyOf, createTestProxy, type TestProxy } from "./test-proxy.ts";

/** A response of the administration, with its parsed body. */
export interface AdminAnswer {
  readonly status: number;
  readonly headers: PlainHeaders;
  /** A shown key, with `key` where one was made; or a problem. */
  readonly body: ShownKey & { readonly key: string; readonly errorCode: string; readonly errors: unknown[] };
  readonly text: string;
}

/** The request without its key. */
export interface AdminCall {
  readonly method?: string;
  /** Behind `/admin/v1/keys`. */
  readonly path?: string;
  readonly query?: string;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  /** Through the separate administration listener. */
  readonly listener?: boolean;
}

/** Asks the administration of a test proxy. */
export async function administer(
  { proxy }: Pick<TestProxy, "proxy">,
  key: string | undefined,
  { path = "", body, listener = false, ...rest }: AdminCall = {},
): Promise<AdminAnswer> {
  const request = fakeRequest({
    method: body === undefined ? "GET" : "POST",
    path: `/admin/v1/keys${path}`,
    ...(key !== undefined && { key }),
    ...(body !== undefined && { body: typeof body === "string" ? body : JSON.stringify(body) }),
    ...rest,
  });
  const response = await (listener ? proxy.handleAdmin(request) : proxy.handle(request));
  const parsed = response.body === null ? {} : bodyOf(response);
  return {
    status: response.status,
    headers: response.headers,
    body: parsed as AdminAnswer["body"],
    text: String(response.body),
  };
}

/** A proxy with an administering key. */
export async function withAdmin(
  request: Partial<KeyRequest> = {},
  testProxy: TestProxy = createTestProxy(),
): Promise<{ testProxy: TestProxy; adminId: string; ask: (call?: AdminCall) => Promise<AdminAnswer> }> {
  const { key, record } = await testProxy.issueKey({ scopes: ["admin"], ...request });
  return { testProxy, adminId: record.id, ask: (call) => administer(testProxy, key, call) };
}
