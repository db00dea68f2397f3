import { connect } from "greenroom";
import { GreenroomProvider } from "greenroom/react";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { App } from "./App.jsx";

const client = connect();

createRoot(document.getElementById("root")).render(
  <StrictMode>
    <GreenroomProvider client={client}>
      <App />
    </GreenroomProvider>
  </StrictMode>,
);
