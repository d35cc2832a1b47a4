// SPDX-License-Identifier: MPL-2.0
// Checked by tsc: a line marked @ts-expect-error that compiles is an error itself.
import {
  RealtimeSyncProvider,
  useMutationWithInvalidation,
  useRealtimeSync,
  useSyncEvent,
  useWebSocket,
} from "@freshwire/react";
import { createSyncQueryClient, syncFetch, type SyncFetchContext } from "@freshwire/react/query";
import { QueryClientProvider, useQuery } from "@tanstack/react-query";
import { expect, expectTypeOf, it } from "vitest";

interface Project {
  id: string;
  name: string;
}

/** The README's quick start. */
const queryClient = createSyncQueryClient();
const session = { token: "u1" };
const show = (project: Project) => project.name;
const read = async (context: SyncFetchContext) =>
  (await syncFetch(context, "/api/projects")).json() as Promise<Project[]>;
const Projects = () => useQuery({ queryKey: ["projects"], queryFn: read }).data?.map(show);
export const QuickStart = () => (
  <QueryClientProvider client={queryClient}>
    <RealtimeSyncProvider gateway="wss://live.example.org" getToken={() => session.token}>
      <Projects />
    </RealtimeSyncProvider>
  </QueryClientProvider>
);

// Never called: only its types count.
export function Page() {
  const create = useMutationWithInvalidation(
    async (name: string): Promise<Project> => ({ id: "1", name }),
    ["projects", "dashboard"],
  );
  expectTypeOf(create.mutate).parameter(0).toBeString();
  expectTypeOf(create.data).toEqualTypeOf<Project | undefined>();
  // @ts-expect-error a name is a string
  create.mutate(42);

  const remove = useMutationWithInvalidation({
    mutationFn: async (id: number) => ({ id }),
    invalidates: (data, variables) => {
      expectTypeOf(data).toEqualTypeOf<{ id: number }>();
      expectTypeOf(variables).toBeNumber();
      return ["projects", ["project", data.id]];
    },
  });
  expectTypeOf(remove.mutate).parameter(0).toBeNumber();
  // @ts-expect-error what is invalidated must be said
  useMutationWithInvalidation({ mutationFn: async () => 1 });

  useSyncEvent("project_updated", (event) => {
    expectTypeOf(event.data.name).toBeString();
    // @ts-expect-error not a field of a project
    void event.data.nmae;
  });
  useSyncEvent("my_own_type", (event) => expectTypeOf(event.data).toBeUnknown());

  useRealtimeSync({ project_created: ["projects", ["users", "me"]], other: (data) => [data.id] });
  // @ts-expect-error a map of numbers
  useRealtimeSync({ project_created: [1] });

  const { isConnected, lastMessage, send } = useWebSocket("/ws", {
    onMessage: (data) => data.type,
  });
  expectTypeOf(isConnected).toBeBoolean();
  expectTypeOf(send({})).toBeBoolean();
  // @ts-expect-error an option of this name does not exist
  useWebSocket("/ws", { onMesage: () => undefined });
  return lastMessage?.data.anything as string;
}

it("has types that tsc has checked", () => {
  expect(Page).toBeTypeOf("function");
});
