// SPDX-License-Identifier: MPL-2.0
import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

export default defineConfig({
  plugins: [react()],
  build: { target: "es2022", reportCompressedSize: true },
  // `npm run dev`: the page with hot reload, the API from the running example.
  server: { proxy: { "/api": "http://127.0.0.1:8000" } },
});
