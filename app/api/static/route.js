// Where one is: whose memories, and which of them is open. Kept in the address after the #,
// which never leaves the browser; Back and links to a memory work by it.

export const KINDS = { user_id: "users", agent_id: "agents", app_id: "apps", run_id: "runs" };

/** `{scope: {user_id: "alice"} or {} for everyone, memory: id or null}` */
export function current() {
  const given = new URLSearchParams(location.hash.slice(1));
  const kind = Object.keys(KINDS).find((name) => given.get(name));
  return {
    scope: kind ? { [kind]: given.get(kind) } : {},
    memory: given.get("memory"),
  };
}

export function link(scope, memory = null) {
  const all = new URLSearchParams(scope);
  if (memory) all.set("memory", memory);
  return `#${all}` === "#" ? "#everyone" : `#${all}`;
}

export const same = (one, other) => link(one) === link(other);

export function go(scope, memory = null) {
  location.hash = link(scope, memory);
}
