// SPDX-License-Identifier: MPL-2.0
// Runs scenarios of test_clients.py with the package "ws": a JSON array on standard input, one result each on standard output.
import { readFileSync } from "node:fs";
import WebSocket from "ws";

function run(scenario) {
  return new Promise((resolve) => {
    const result = { messages: [], code: null, status: 101, protocol: "" };
    const socket = new WebSocket(scenario.url, scenario.subprotocols, {
      headers: scenario.headers,
      perMessageDeflate: true, // offered; the gateway must do without
      autoPong: scenario.pongs,
      handshakeTimeout: 20000,
    });
    const deadline = setTimeout(() => socket.terminate(), 30000);
    socket.on("unexpected-response", (_, response) => {
      result.status = response.statusCode;
      clearTimeout(deadline);
      resolve(result);
      socket.terminate();
    });
    socket.on("error", () => {}); // what matters comes with close
    socket.on("open", () => {
      result.protocol = socket.protocol;
      result.extensions = socket.extensions;
      for (const action of scenario.sends) {
        if (action.raw !== undefined) socket._socket.write(Buffer.from(action.raw, "hex"));
        else if (action.binary !== undefined) socket.send(Buffer.from(action.binary, "hex"), { binary: true });
        else for (let i = 0; i < (action.times ?? 1); i++) socket.send(action.text);
      }
    });
    socket.on("message", (data) => {
      const type = JSON.parse(data.toString()).type;
      if (type === "fw.ping") return;
      result.messages.push(type);
      if (result.messages.length === scenario.messages && scenario.closes) socket.close(1000, "done");
    });
    socket.on("close", (code) => {
      if (result.status === 101) result.code = code;
      clearTimeout(deadline);
      resolve(result);
    });
  });
}

const results = [];
for (const scenario of JSON.parse(readFileSync(0, "utf8"))) results.push(await run(scenario));
process.stdout.write(JSON.stringify(results));
