/** The application suite against the built gateway on Deno. */
import { createServerLauncher } from "./server-launcher.ts";
import { describeEmbeddedServer, describeRuntime } from "./suite.ts";

const launcher = createServerLauncher("deno");
describeRuntime(launcher);
describeEmbeddedServer(launcher);
