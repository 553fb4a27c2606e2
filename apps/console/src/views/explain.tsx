/** The dialog that explains how a request with a key is decided, rule by rule. Nothing is sent to a device. */
import { printable } from "@letta-environments/command-line/printable";
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { Badge } from "../parts/badge.tsx";
import { Dialog } from "../parts/dialog.tsx";
import type { ShownKey } from "../model/key-rights.ts";
import type { Tone } from "../model/message-state.ts";
import { Problem, useSubmit } from "../parts/form.tsx";
import { administer, AdminError, failureText } from "../state/api.ts";

interface Explanation {
  readonly verdict: { readonly status: number; readonly errorCode: string | null } | null;
  readonly rules: readonly { readonly rule: string; readonly result: string; readonly detail: string | null }[];
}

const tones: Readonly<Record<string, Tone>> = { passed: "good", refused: "bad", unknown: "warn" };
const methods = ["GET", "POST", "PATCH", "DELETE"] as const;

/** The dialog. */
export function Explain({ shown, onClose }: { shown: ShownKey; onClose: () => void }): JSX.Element {
  const [method, setMethod] = useState("GET");
  const [path, setPath] = useState("/v1/environments");
  const [body, setBody] = useState("");
  const [explanation, setExplanation] = useState<Explanation | null>(null);
  const [onSubmit, problem] = useSubmit(async () => {
    const parsed = body.trim() === "" ? {} : { body: JSON.parse(body) as unknown };
    setExplanation(await administer("POST", "explain", { keyId: shown.id, method, path, ...parsed }));
  }, reasonOf);
  return (
    <Dialog title={`What may ${printable(shown.name)} do?`} onClose={onClose}>
      <form onSubmit={onSubmit}>
        <div class="request">
          <select aria-label="Method" value={method} onChange={(event) => setMethod(event.currentTarget.value)}>
            {methods.map((name) => (
              <option key={name}>{name}</option>
            ))}
          </select>
          <input aria-label="Path" required value={path} onInput={(event) => setPath(event.currentTarget.value)} />
        </div>
        <textarea
          aria-label="Body"
          rows={3}
          value={body}
          placeholder="JSON body, if the request has one"
          onInput={(event) => setBody(event.currentTarget.value)}
        />
        <Problem text={problem} />
        <div class="actions">
          <span class="hint">Nothing is sent.</span>
          <button type="submit" class="primary">
            Explain
          </button>
        </div>
      </form>
      {explanation !== null && <Rules explanation={explanation} />}
    </Dialog>
  );
}

function reasonOf(error: unknown): string {
  if (error instanceof SyntaxError) return "The body is not valid JSON.";
  if (error instanceof AdminError && error.status === 404) return "This gateway does not explain requests.";
  return failureText(error);
}

function Rules({ explanation: { verdict, rules } }: { explanation: Explanation }): JSX.Element {
  const isRefused = verdict !== null && verdict.status >= 400;
  return (
    <>
      <p role="status">
        {isRefused
          ? `It is refused with ${verdict.status} ${verdict.errorCode ?? ""}.`
          : "It passes every rule that can be decided now."}
      </p>
      <ol class="history">
        {rules
          .filter(({ result }) => result !== "skipped")
          .map(({ rule, result, detail }) => (
            <li key={rule} class="rule">
              <Badge tone={tones[result] ?? "calm"}>{result}</Badge>
              <span>
                {rule}
                {detail !== null && <span class="hint"> {detail}</span>}
              </span>
            </li>
          ))}
      </ol>
    </>
  );
}
