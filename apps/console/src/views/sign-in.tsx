/** The page of a user who is not signed in: the form for a key, and what to do about a link that cannot be used. */
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { useFocus } from "../parts/focus.ts";
import { Problem, useSubmit } from "../parts/form.tsx";
import { readSession, session, signIn } from "../state/session.ts";

/** Why a link was refused; shown above the form. */
export function SignIn({ linkRefusal }: { linkRefusal: string | null }): JSX.Element {
  const [key, setKey] = useState("");
  const state = session.value;
  const field = useFocus<HTMLInputElement>();
  const [onSubmit, problem, isBusy] = useSubmit(async () => {
    const refusal = await signIn({ key: key.trim() });
    setKey("");
    if (refusal !== null) throw new Error(refusal);
  });
  return (
    <main class="sign-in">
      <h1>Letta gateway console</h1>
      {state.kind === "ended" && (
        <div class="notice" role="alert">
          <strong>Your session has ended.</strong> Its key was changed or revoked, or twelve hours have passed. Sign in
          again to continue.
        </div>
      )}
      {state.kind === "signed_out" && state.reason !== null && (
        <div class="notice" role="status">
          {state.reason}
        </div>
      )}
      {linkRefusal !== null && (
        <div class="notice" role="alert">
          <strong>This sign-in link cannot be used.</strong> {linkRefusal}
        </div>
      )}
      {state.kind === "failed" && (
        <div class="notice bad" role="alert">
          <p>{state.reason}</p>
          <button type="button" onClick={() => void readSession()}>
            Try again
          </button>
        </div>
      )}
      <form onSubmit={onSubmit}>
        <label for="key">Gateway key</label>
        <input
          ref={field}
          id="key"
          type="password"
          autocomplete="off"
          spellcheck={false}
          placeholder="lek_…"
          required
          value={key}
          aria-describedby="key-hint"
          aria-invalid={problem !== null}
          onInput={(event) => setKey(event.currentTarget.value)}
        />
        <Problem text={problem} />
        <button type="submit" class="primary" disabled={isBusy}>
          {isBusy ? "Signing in …" : "Sign in"}
        </button>
        <p id="key-hint" class="hint">
          The console can do what the key can do. The key is not stored in this browser.
        </p>
      </form>
      <NoKey />
    </main>
  );
}

function NoKey(): JSX.Element {
  return (
    <section>
      <h2>No key?</h2>
      <p>
        On the machine of the gateway, print a link that signs in once. A gateway on Cloudflare Workers has no links.
      </p>
      <pre tabIndex={0}>letta-proxy console link</pre>
    </section>
  );
}
