// SPDX-License-Identifier: MPL-2.0
import { useMutationWithInvalidation } from "@freshwire/react";
import { useQuery } from "@tanstack/react-query";
import { memo, useEffect, useRef, useState, type FormEvent } from "react";
import { describe, mutations, queries } from "../api.js";
import { statuses, userName, type Project, type Status } from "../model.js";
import { pulse } from "../pulse.js";

const titles: Record<Status, string> = { active: "Active", paused: "Paused", done: "Done" };
const projectKeys = ["projects", "dashboard"];

export function Board() {
  const { data: projects, isPending, error, refetch } = useQuery(queries.projects);
  return (
    <section className="stack" aria-labelledby="board-title">
      <div className="between">
        <h2 id="board-title">Board</h2>
        <NewProject />
      </div>
      {error && !projects && (
        <div className="card notice-inline" role="alert">
          <p>The projects could not be read.</p>
          <button onClick={() => void refetch()}>Try again</button>
        </div>
      )}
      {isPending && !error && <div className="board skeleton" aria-busy="true" />}
      {projects && (
        <div className="board">
          {statuses.map((status) => (
            <Column
              key={status}
              status={status}
              projects={projects.filter((project) => project.status === status)}
            />
          ))}
        </div>
      )}
    </section>
  );
}

function Column({ status, projects }: { status: Status; projects: Project[] }) {
  return (
    <section className={`column ${status}`} aria-label={titles[status]}>
      <h3>
        <span className="dot" aria-hidden="true" />
        {titles[status]} <span className="quiet">{projects.length}</span>
      </h3>
      {projects.length === 0 && (
        <p className="empty">
          {status === "active" ? "No project yet: add the first one above." : "Nothing here."}
        </p>
      )}
      <ul>
        {projects.map((project) => (
          <Row key={project.id} project={project} />
        ))}
      </ul>
    </section>
  );
}

function NewProject() {
  const [name, setName] = useState("");
  const create = useMutationWithInvalidation(mutations.createProject, projectKeys);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    pulse.action("project_created");
    create.mutate({ name: name.trim() }, { onSuccess: () => setName("") });
  };
  return (
    <form className="row new-project" onSubmit={submit}>
      <label className="hidden" htmlFor="new-project">
        Name of the new project
      </label>
      <input
        id="new-project"
        data-testid="new-project-name"
        value={name}
        required
        maxLength={120}
        pattern=".*\S.*"
        title="A name of at least one letter"
        placeholder="New project"
        autoComplete="off"
        onChange={(event) => setName(event.target.value)}
      />
      <button className="primary" data-testid="new-project-submit" disabled={create.isPending}>
        Add
      </button>
      <Failure error={create.error} />
    </form>
  );
}

/** Rendered again only when its project changed: TanStack keeps what is equal as it is. */
const Row = memo(function Row({ project }: { project: Project }) {
  const { id, name, status, version } = project;
  const [editing, setEditing] = useState(false);
  const change = useMutationWithInvalidation(mutations.changeProject, projectKeys);
  const remove = useMutationWithInvalidation(mutations.deleteProject, projectKeys);
  const isChanged = useChanged(version);
  const busy = change.isPending || remove.isPending;

  const save = (change_: { name?: string; status?: Status }) => {
    pulse.action("project_updated");
    change.mutate({ id, ...change_ });
  };
  return (
    <li
      className={isChanged ? "project changed" : "project"}
      data-testid={`project-row-${id}`}
      data-project-id={id}
      data-version={version}
      aria-busy={busy}
    >
      {editing ? (
        <Rename
          id={id}
          name={name}
          onDone={(renamed) => {
            setEditing(false);
            if (renamed && renamed !== name) save({ name: renamed });
          }}
        />
      ) : (
        <p className="name" data-testid={`project-name-${id}`}>
          {name}
        </p>
      )}
      {project.description && <p className="quiet description">{project.description}</p>}
      <div className="between">
        <span className="quiet small">
          {userName(project.owner_id)} · version {version}
        </span>
        <span className="row tools">
          <label className="hidden" htmlFor={`status-${id}`}>
            Status of {name}
          </label>
          <select
            id={`status-${id}`}
            data-testid={`status-${id}`}
            value={status}
            onChange={(event) => save({ status: event.target.value as Status })}
          >
            {statuses.map((each) => (
              <option key={each} value={each}>
                {titles[each]}
              </option>
            ))}
          </select>
          <button
            className="icon small"
            data-testid={`rename-${id}`}
            aria-label={`Rename ${name}`}
            title="Rename"
            onClick={() => setEditing(true)}
          >
            <svg viewBox="0 0 24 24" aria-hidden="true">
              <path d="m4 20 1-4L16 5l3 3L8 19l-4 1Zm10-13 3 3" />
            </svg>
          </button>
          <button
            className="icon small danger"
            data-testid={`delete-${id}`}
            aria-label={`Delete ${name}`}
            title="Delete"
            disabled={remove.isPending}
            onClick={() => {
              pulse.action("project_deleted");
              remove.mutate({ id });
            }}
          >
            <svg viewBox="0 0 24 24" aria-hidden="true">
              <path d="M5 7h14M10 7V5h4v2m-7 0 1 13h8l1-13" />
            </svg>
          </button>
        </span>
      </div>
      <Failure error={change.error ?? remove.error} />
    </li>
  );
});

function Rename(props: { id: string; name: string; onDone: (name?: string) => void }) {
  const [name, setName] = useState(props.name);
  return (
    <form
      className="row"
      onSubmit={(event) => {
        event.preventDefault();
        props.onDone(name.trim());
      }}
    >
      <label className="hidden" htmlFor={`rename-input-${props.id}`}>
        New name
      </label>
      <input
        id={`rename-input-${props.id}`}
        data-testid={`rename-input-${props.id}`}
        value={name}
        maxLength={120}
        autoFocus
        onFocus={(event) => event.target.select()}
        onChange={(event) => setName(event.target.value)}
        onBlur={() => props.onDone()}
        onKeyDown={(event) => {
          if (event.key === "Escape") props.onDone();
        }}
      />
    </form>
  );
}

function Failure({ error }: { error: Error | null }) {
  const [text, setText] = useState("");
  useEffect(() => {
    setText("");
    if (error) void describe(error).then(setText);
  }, [error]);
  return text ? (
    <p className="failure" role="alert">
      {text}
    </p>
  ) : null;
}

const FLASH_MS = 600;

/** For a moment after the value changed, but not when it is first seen. */
function useChanged(value: unknown): boolean {
  const last = useRef(value);
  const [isChanged, setChanged] = useState(false);
  useEffect(() => {
    if (last.current === value) return;
    last.current = value;
    setChanged(true);
    const timer = setTimeout(() => setChanged(false), FLASH_MS);
    return () => clearTimeout(timer);
  }, [value]);
  return isChanged;
}
