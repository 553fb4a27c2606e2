/**
 * The Environments API on h3, with one endpoint of the service's own. h3 carries the requests; the endpoint table, the schemas
 * and the guards of `@letta-environments/schema` route and check them.
 */
import {
  decodeBody,
  decodeRequest,
  type EnvironmentList,
  jsonResponse,
  matchEndpoint,
  type PlainResponse,
  problemResponse,
  RegisterRequestSchema,
  type SendMessageBody,
} from "@letta-environments/schema";
import { findEnvironmentListMismatch } from "@letta-environments/schema/guards";
import { H3 } from "h3";
import * as v from "valibot";

/** Body of `POST /labels`: a device, by the rules of the API, and what this service adds. */
const LabelsSchema = v.strictObject({
  ...v.pick(RegisterRequestSchema, ["deviceId"]).entries,
  labels: v.array(v.pipe(v.string(), v.minLength(1, "must not be empty"))),
});

/** The program behind the service. */
export interface ServiceBackend {
  /** Returns the list from another program. The service checks its shape before it passes it on. */
  readonly listEnvironments: () => Promise<unknown>;
  /** Delivers a message and returns whether the device was online. */
  readonly deliver: (connectionId: string, body: SendMessageBody) => Promise<boolean>;
  readonly label: (labels: v.InferOutput<typeof LabelsSchema>) => Promise<void>;
}

/** Creates the service. */
export function createService(backend: ServiceBackend): H3 {
  return new H3()
    .post("/labels", async ({ req }) => toResponse(await label(req, backend)))
    .all("/**", async ({ req }) => toResponse(await handle(req, backend)));
}

async function handle(request: Request, backend: ServiceBackend): Promise<PlainResponse> {
  const url = new URL(request.url);
  const match = matchEndpoint(request.method, url.pathname);
  if (match.kind === "refused") return match.response;
  const decoded = decodeRequest(match, { query: url.search.slice(1), ...(await readBody(request)) });
  if (!decoded.ok) return decoded.response;
  switch (decoded.value.operation) {
    case "listEnvironments":
      return list(await backend.listEnvironments(), decoded.value.query.limit);
    case "sendMessage": {
      const delivered = await backend.deliver(decoded.value.params.connectionId, decoded.value.body);
      return delivered ? jsonResponse(200, { message: "Delivered", success: true }) : problemResponse("device_offline");
    }
    default:
      return problemResponse("endpoint_not_found");
  }
}

async function label(request: Request, backend: ServiceBackend): Promise<PlainResponse> {
  const { body, contentType } = await readBody(request);
  const decoded = decodeBody(LabelsSchema, body, contentType);
  if (!decoded.ok) return decoded.response;
  await backend.label(decoded.value);
  return { status: 204, headers: {}, body: null };
}

function list(received: unknown, limit = 50): PlainResponse {
  const mismatch = findEnvironmentListMismatch(received);
  if (mismatch !== null) return problemResponse("upstream_invalid_response");
  const { connections, hasNextPage } = received as EnvironmentList;
  return jsonResponse(200, {
    connections: connections.slice(0, limit),
    hasNextPage: hasNextPage || connections.length > limit,
  });
}

async function readBody(request: Request): Promise<{ body: Uint8Array; contentType: string | undefined }> {
  const contentType = request.headers.get("content-type") ?? undefined;
  return { body: new Uint8Array(await request.arrayBuffer()), contentType };
}

function toResponse({ status, headers, body }: PlainResponse): Response {
  return new Response(typeof body === "string" ? body : null, { status, headers });
}
