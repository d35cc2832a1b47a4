// SPDX-License-Identifier: MPL-2.0
// Checked by tsc: a line marked @ts-expect-error that compiles is an error itself.
import {
  createSyncClient,
  defineEvents,
  event,
  type EventsOf,
  type StandardEvents,
} from "@freshwire/client";
import { expect, expectTypeOf, it } from "vitest";

interface Task {
  id: string;
  title: string;
}

const events = defineEvents({
  task_created: event<Task>(["tasks"]),
  task_moved: event<Task & { column: string }>((data) => [["tasks", data.id, data.column]]),
  weather: event(["weather"]),
});

it("types events by their names", () => {
  const client = createSyncClient({ url: "/ws", events });
  client.on("event", (received) => {
    expectTypeOf(received.receivedAt).toBeNumber();
    // @ts-expect-error data is unknown until the type is known
    void received.data.title;
    if (received.type === "weather") expectTypeOf(received.data).toBeUnknown();
    if (received.type === "task_moved") expectTypeOf(received.data.column).toBeString();
    if (received.type === "task_created") {
      expectTypeOf(received.data).toEqualTypeOf<Task>();
      // @ts-expect-error a created task has no column
      void received.data.column;
    }
    // @ts-expect-error there is no such type
    if (received.type === "task_exploded") return;
  });
  client.subscribe("room:1", (received) => {
    if (received.type === "task_moved") expectTypeOf(received.data.id).toBeString();
  });
  expect(client.events).toBe(events);
});

it("knows the standard events without being told", () => {
  type Updated = Extract<EventsOf<StandardEvents>, { type: "project_updated" }>;
  expectTypeOf<Updated["data"]["name"]>().toBeString();
  const client = createSyncClient({ url: "/ws" });
  client.on("event", (received) => {
    if (received.type === "project_deleted") {
      // @ts-expect-error a deleted project has no name
      void received.data.name;
    }
  });
  // @ts-expect-error no such listener
  client.on("events", () => undefined);
  // @ts-expect-error an option of this name does not exist
  createSyncClient({ url: "/ws", recconect: false });
  // @ts-expect-error keys are strings or arrays
  event<Task>([42]);
  expect(client.status.state).toBe("idle");
});
