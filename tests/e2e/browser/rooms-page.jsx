// SPDX-License-Identifier: MPL-2.0
// A page that is in one room: who is there, who came and went, who is typing. ?gateway=…&token=…&room=…

import {
    RealtimeSyncProvider,
    usePresence,
    usePublish,
    useSyncClient,
    useSyncEvent,
    useSyncStatus,
} from "@freshwire/react";
import { createSyncQueryClient } from "@freshwire/react/query";
import { QueryClientProvider } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import { createRoot } from "react-dom/client";

const { gateway, token, room } = Object.fromEntries(new URLSearchParams(location.search));
const queryClient = createSyncQueryClient();
globalThis.moves = [];

function Room() {
    const client = useSyncClient();
    const { members, ready } = usePresence(room);
    const publish = usePublish(room);
    const { state } = useSyncStatus();
    const [typing, setTyping] = useState("");
    useSyncEvent("typing", ({ user_id, data }) => setTyping(data.on ? user_id : ""));
    useEffect(
        () =>
            client?.on("presence", ({ joined, left }) => {
                for (const { userId } of joined) globalThis.moves.push(`+${userId}`);
                for (const { userId } of left) globalThis.moves.push(`-${userId}`);
            }),
        [client],
    );
    return (
        <>
            <p data-testid="state">{state}</p>
            <p data-testid="members">
                {ready
                    ? members.map(({ userId, sessions }) => `${userId}:${sessions}`).join(" ")
                    : "…"}
            </p>
            <p data-testid="typing">{typing}</p>
            <input
                data-testid="text"
                onFocus={() => void publish("typing", { on: true })}
                onBlur={() => void publish("typing", { on: false })}
            />
        </>
    );
}

createRoot(document.getElementById("root")).render(
    <QueryClientProvider client={queryClient}>
        <RealtimeSyncProvider
            gateway={gateway}
            getToken={() => token}
            reconnect={{ baseMs: 100, capMs: 500 }}
        >
            <Room />
        </RealtimeSyncProvider>
    </QueryClientProvider>,
);
