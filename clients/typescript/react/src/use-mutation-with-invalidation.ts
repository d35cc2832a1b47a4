// SPDX-License-Identifier: MPL-2.0
import type { KeyList } from "@freshwire/client";
import {
  useMutation,
  useQueryClient,
  type UseMutationOptions,
  type UseMutationResult,
} from "@tanstack/react-query";
import { syncInvalidate } from "./query/index.js";

export interface MutationWithInvalidationOptions<Data, Failure, Variables, Context>
  extends UseMutationOptions<Data, Failure, Variables, Context> {
  /** Keys of the queries that the mutation makes stale. */
  invalidates: KeyList | ((data: Data, variables: Variables) => KeyList);
}

type MutationFunction<Data, Variables> = NonNullable<
  UseMutationOptions<Data, Error, Variables>["mutationFn"]
>;

/**
 * A mutation that is done when the queries it made stale have been fetched again. The event that it
 * causes refetches them once more, with its freshness token.
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
      const refetched = syncInvalidate(queryClient, keys);
      await options.onSuccess?.(...success);
      await refetched;
    },
  });
}
