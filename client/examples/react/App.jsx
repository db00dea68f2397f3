import { useEntity, usePresence } from "greenroom/react";
import { useState } from "react";

/** A room and a counter. Open it in two windows. */
export function App() {
  const [open, setOpen] = useState(true);
  const [failure, setFailure] = useState("");
  const rejected = (op, error) => setFailure(`${op.type}: ${error.message}`);
  return (
    <main>
      <h1>Greenroom with React</h1>
      <button onClick={() => setOpen(!open)}>{open ? "Leave" : "Enter"}</button>
      {open && <Room onRejected={rejected} />}
      <Likes onRejected={rejected} />
      <p role="alert">{failure}</p>
    </main>
  );
}

function Room({ onRejected }) {
  const { state, status, send, loadEarlier } = useEntity("room:lobby", { optimistic: true, limit: 50, onRejected });
  const { members } = usePresence("room:lobby", { name: "Ann" });
  const [text, setText] = useState("");

  function post(event) {
    event.preventDefault();
    send("post", { text });
    setText("");
  }

  if (!state) return <p>{status}…</p>;
  return (
    <section>
      <p data-testid="here">{members?.length ?? 0} here</p>
      {state.hasEarlier && <button onClick={() => loadEarlier()}>Earlier messages</button>}
      <ol data-testid="messages">
        {state.messages.map(({ key, body, pending, deleted }) => (
          <li key={key} className={pending ? "pending" : undefined}>
            {deleted ? "deleted" : body.text}
          </li>
        ))}
      </ol>
      <form onSubmit={post}>
        <input data-testid="text" value={text} onChange={(event) => setText(event.target.value)} />
        <button>Send</button>
      </form>
    </section>
  );
}

function Likes({ onRejected }) {
  const { state, send } = useEntity("doc:likes", { optimistic: true, onRejected });
  return (
    <p>
      <button onClick={() => send("increment", { path: "/likes", by: 1 })}>Like</button>
      <button onClick={() => send("patch", [{ op: "remove", path: "/missing" }])}>Break</button>
      <output data-testid="likes">{state?.likes ?? 0}</output>
    </p>
  );
}
