// SPDX-License-Identifier: MPL-2.0
import type { KeyList } from "@freshwire/client";
import {
  useMutation,
  useQueryClient,
  type UseMutationOptions,
  type UseMutationResult,
} from "@tanstack/react-query";
import { syncInvalidate } from "./query/index.js";

/** Until its event comes with a token, what a mutation changed is read past caches, milliseconds. */
const BYPASS_MS = 5_000;

export interface MutationWithInvalidationOptions<Data, Failure, Variables, Context>
  extends UseMutationOptions<Data, Failure, Variables, Context> {
  /** Keys of the queries that the mutation makes stale. */
  invalidates: KeyList | ((data: Data, variables: Variables) => KeyList);
}

type MutationFunction<Data, Variables> = NonNullable<
  UseMutationOptions<Data, Error, Variables>["mutationFn"]
>;

/**
 * A mutation that is done when the queries it made stale have been fetched again: past caches, as
 * the answer may be quicker than the purge. Its event refetches them once more, with its token.
 */
export function useMutationWithInvalidation<Data, Variables = void>(
  mutationFn: MutationFunction<Data, Variables>,
  invalidateKeys: KeyList,
): UseMutationResult<Data, Error, Variables>;
export function useMutationWithInvalidation<
  Data = unknown,
  Failure = Error,
  Variables = void,
  Context = unknown,
>(
  options: MutationWithInvalidationOptions<Data, Failure, Variables, Context>,
): UseMutationResult<Data, Failure, Variables, Context>;
export function useMutationWithInvalidation(
  first: MutationFunction<any, any> | MutationWithInvalidationOptions<any, any, any, any>,
  invalidateKeys: KeyList = [],
): UseMutationResult<any, any, any, any> {
  const queryClient = useQueryClient();
  const { invalidates, ...options } =
    typeof first === "function" ? { mutationFn: first, invalidates: invalidateKeys } : first;
  return useMutation({
    ...options,
    onSuccess: async (...success) => {
      const [data, variables] = success;
      const keys = typeof invalidates === "function" ? invalidates(data, variables) : invalidates;
      const refetched = syncInvalidate(queryClient, keys, { bypass: true, bypassMs: BYPASS_MS });
      await options.onSuccess?.(...success);
      await refetched;
    },
  });
}
