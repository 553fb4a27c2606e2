/** The application suite against the built gateway on Bun. */
import { createServerLauncher } from "./server-launcher.ts";
import { describeEmbeddedServer, describeRuntime } from "./suite.ts";

const launcher = createServerLauncher("bun");
describeRuntime(launcher);
describeEmbeddedServer(launcher);
