// SPDX-License-Identifier: MPL-2.0
import { createSyncQueryClient } from "@freshwire/react/query";
import { QueryClientProvider } from "@tanstack/react-query";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { App } from "./app.js";
import { pulse } from "./pulse.js";
import "./styles.css";

window.__freshwire = pulse.measured;

const queryClient = createSyncQueryClient();

createRoot(document.getElementById("root")!).render(
  <StrictMode>
    <QueryClientProvider client={queryClient}>
      <App />
    </QueryClientProvider>
  </StrictMode>,
);
