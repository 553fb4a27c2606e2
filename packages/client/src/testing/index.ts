/** The module `@letta-environments/client/testing`: a server in memory, and scripted responses, for tests of programs that use the client. */
export { createFakeServer, type FakeServer, type FakeServerOptions, type TakenSend } from "./fake-server.ts";
export {
  exampleEnvironment,
  respondWithJson,
  respondWithProblem,
  type ScriptedFetch,
  scriptFetch,
  type SeenRequest,
} from "./responses.ts";
