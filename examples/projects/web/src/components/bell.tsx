// SPDX-License-Identifier: MPL-2.0
import { useMutationWithInvalidation, useRealtimeNotifications } from "@freshwire/react";
import { useQuery } from "@tanstack/react-query";
import { useEffect, useRef, useState } from "react";
import { mutations, queries } from "../api.js";
import { userName, users } from "../model.js";
import { pulse } from "../pulse.js";

const TOAST_MS = 5_000;

export function Bell({ user }: { user: { id: string; name: string } }) {
  const { data: notifications = [] } = useQuery(queries.notifications);
  const [open, setOpen] = useState(false);
  const [toast, setToast] = useState<string>();
  const place = useRef<HTMLDivElement>(null);
  useRealtimeNotifications({ onNotification: ({ data }) => setToast(data.title) });

  useEffect(() => {
    if (toast === undefined) return;
    const timer = setTimeout(() => setToast(undefined), TOAST_MS);
    return () => clearTimeout(timer);
  }, [toast]);

  useEffect(() => {
    if (!open) return;
    const close = (event: Event) => {
      const outside = event.target instanceof Node && !place.current?.contains(event.target);
      if (event instanceof KeyboardEvent ? event.key === "Escape" : outside) setOpen(false);
    };
    addEventListener("pointerdown", close);
    addEventListener("keydown", close);
    return () => {
      removeEventListener("pointerdown", close);
      removeEventListener("keydown", close);
    };
  }, [open]);

  const unread = notifications.filter(({ is_read }) => !is_read).length;
  return (
    <div className="bell" ref={place}>
      <button
        className="icon"
        aria-expanded={open}
        aria-label={`Notifications, ${unread} unread`}
        data-testid="notification-bell"
        onClick={() => setOpen(!open)}
      >
        <svg viewBox="0 0 24 24" aria-hidden="true">
          <path d="M6 16V11a6 6 0 1 1 12 0v5l1.5 2.5h-15L6 16Zm4 5h4" />
        </svg>
        <span className={unread > 0 ? "badge" : "badge none"} data-testid="notification-count">
          {unread}
        </span>
      </button>
      {open && (
        <section className="popover" aria-label="Notifications">
          <h2>Notifications for {user.name}</h2>
          {notifications.length === 0 && (
            <p className="empty">Nothing yet. Send one, from here or another window.</p>
          )}
          <ul className="notifications" data-testid="notifications">
            {notifications.map((notification) => (
              <NotificationRow key={notification.id} {...notification} />
            ))}
          </ul>
          <Send from={user.id} />
        </section>
      )}
      <div className="toast" role="status" data-shown={toast !== undefined}>
        {toast}
      </div>
    </div>
  );
}

function NotificationRow(row: { id: string; title: string; body: string; is_read: boolean }) {
  const markRead = useMutationWithInvalidation(mutations.markRead, ["notifications", "dashboard"]);
  return (
    <li className={row.is_read ? "read" : ""} data-testid={`notification-${row.id}`}>
      <div>
        <strong>{row.title}</strong>
        {row.body && <p className="quiet">{row.body}</p>}
      </div>
      {!row.is_read && (
        <button
          className="plain"
          data-testid={`read-${row.id}`}
          disabled={markRead.isPending}
          onClick={() => {
            pulse.action("notification_read");
            markRead.mutate({ id: row.id });
          }}
        >
          Mark read
        </button>
      )}
    </li>
  );
}

function Send({ from }: { from: string }) {
  const [to, setTo] = useState(() => users.find(({ id }) => id !== from)?.id ?? from);
  const [title, setTitle] = useState("");
  const notify = useMutationWithInvalidation(mutations.notify, []);
  return (
    <form
      className="row"
      onSubmit={(event) => {
        event.preventDefault();
        if (to === from) pulse.action("notification_created");
        notify.mutate(
          { user_id: to, title, body: `from ${userName(from)}` },
          { onSuccess: () => setTitle("") },
        );
      }}
    >
      <label className="hidden" htmlFor="notify-to">
        To
      </label>
      <select
        id="notify-to"
        data-testid="notify-to"
        value={to}
        onChange={(event) => setTo(event.target.value as typeof to)}
      >
        {users.map(({ id, name }) => (
          <option key={id} value={id}>
            {name}
          </option>
        ))}
      </select>
      <label className="hidden" htmlFor="notify-title">
        Text
      </label>
      <input
        id="notify-title"
        data-testid="notify-title"
        value={title}
        required
        maxLength={200}
        placeholder="Say something"
        onChange={(event) => setTitle(event.target.value)}
      />
      <button className="primary" data-testid="notify-submit" disabled={notify.isPending}>
        Send
      </button>
    </form>
  );
}
