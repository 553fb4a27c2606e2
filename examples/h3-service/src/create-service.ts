import {
  decodeBody,
  decodeQuery,
  type EnvironmentList,
  jsonResponse,
  ListEnvironmentsQuerySchema,
  matchEndpoint,
  type PlainResponse,
  problemResponse,
  type SendMessageBody,
  SendMessageBodySchema,
} from "@letta-environments/schema";
import { findEnvironmentListMismatch } from "@letta-environments/schema/guards";
import { H3 } from "h3";

/** What the service is in front of. */
export interface ServiceBackend {
  /** The list as some other program tells it, so its shape is checked before it is passed on. */
  readonly listEnvironments: () => Promise<unknown>;
  readonly deliver: (connectionId: string, body: SendMessageBody) => Promise<boolean>;
}

/** The Environments API over h3: the framework carries requests, the shared table and schemas say what they mean. */
export function createService(backend: ServiceBackend): H3 {
  return new H3().all("/**", async ({ req }) => toResponse(await answer(req, backend)));
}

async function answer(request: Request, backend: ServiceBackend): Promise<PlainResponse> {
  const url = new URL(request.url);
  const match = matchEndpoint(request.method, url.pathname);
  if (match.kind === "refused") return match.response;
  if (match.endpoint.operation === "listEnvironments") {
    const query = decodeQuery(ListEnvironmentsQuerySchema, url.search.slice(1));
    return query.ok ? list(await backend.listEnvironments(), query.value.limit) : query.response;
  }
  if (match.endpoint.operation === "sendMessage") {
    const bytes = new Uint8Array(await request.arrayBuffer());
    const body = decodeBody(SendMessageBodySchema, bytes, request.headers.get("content-type") ?? undefined);
    if (!body.ok) return body.response;
    const delivered = await backend.deliver(match.params["connectionId"] ?? "", body.value);
    return delivered ? jsonResponse(200, { message: "Delivered", success: true }) : problemResponse("device_offline");
  }
  return problemResponse("endpoint_not_found");
}

function list(answered: unknown, limit = 50): PlainResponse {
  const mismatch = findEnvironmentListMismatch(answered);
  if (mismatch !== null) return problemResponse("upstream_invalid_response");
  const { connections, hasNextPage } = answered as EnvironmentList;
  return jsonResponse(200, {
    connections: connections.slice(0, limit),
    hasNextPage: hasNextPage || connections.length > limit,
  });
}

function toResponse({ status, headers, body }: PlainResponse): Response {
  return new Response(typeof body === "string" ? body : null, { status, headers });
}
