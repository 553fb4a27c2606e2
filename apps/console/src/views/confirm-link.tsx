/** Asks before a sign-in link replaces the present session. A link from somebody else would sign the user in with a key that is not theirs. */
import { printable } from "@letta-environments/command-line/printable";
import { render } from "preact";

/** Resolves with whether the link should be used. */
export function confirmLink(root: Element, keyName: string): Promise<boolean> {
  return new Promise((resolve) => {
    const answer = (isWanted: boolean) => (): void => {
      render(null, root);
      resolve(isWanted);
    };
    render(
      <main class="sign-in">
        <h1>Use this sign-in link?</h1>
        <p>
          You are signed in with the key <strong>{printable(keyName)}</strong>. The link opens another session in its
          place. Continue only if you printed the link yourself.
        </p>
        <div class="actions">
          <button type="button" class="primary" onClick={answer(false)}>
            Stay signed in
          </button>
          <button type="button" onClick={answer(true)}>
            Use the link
          </button>
        </div>
      </main>,
      root,
    );
  });
}
