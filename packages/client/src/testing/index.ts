export { createFakeServer, type FakeServer, type FakeServerOptions, type TakenSend } from "./fake-server.ts";
export {
  exampleEnvironment,
  respondWithJson,
  respondWithProblem,
  type ScriptedFetch,
  scriptFetch,
  type SeenRequest,
} from "./responses.ts";
