// What changed between two texts, word by word.

const segmenter = globalThis.Intl?.Segmenter && new Intl.Segmenter(undefined, { granularity: "word" });

const MAX_CELLS = 4_000_000; // of the table below: 8 MB and some 20 ms

/** Words, and what is between them. Intl.Segmenter knows Chinese words; without it, characters. */
export function words(text) {
  if (segmenter) return Array.from(segmenter.segment(text), ({ segment }) => segment);
  return text.match(/\s+|\p{Script=Han}|[\p{L}\p{N}_]+|./gsu) ?? [];
}

/** `[{kind: "same" | "removed" | "added", text}]`, in reading order. */
export function diff(before, after) {
  const [old, now] = [words(before), words(after)];
  let start = 0;
  while (start < old.length && start < now.length && old[start] === now[start]) start++;
  let end = 0;
  while (
    end < old.length - start &&
    end < now.length - start &&
    old[old.length - 1 - end] === now[now.length - 1 - end]
  ) end++;
  const middle = changed(old.slice(start, old.length - end), now.slice(start, now.length - end));
  return joined([
    ...old.slice(0, start).map(as("same")),
    ...middle,
    ...old.slice(old.length - end).map(as("same")),
  ]);
}

const as = (kind) => (text) => ({ kind, text });

function changed(old, now) {
  if (old.length * now.length > MAX_CELLS) return [...old.map(as("removed")), ...now.map(as("added"))];
  const common = commonTable(old, now);
  const width = now.length + 1;
  const steps = [];
  let i = 0;
  let j = 0;
  while (i < old.length || j < now.length) {
    if (i < old.length && j < now.length && old[i] === now[j]) {
      steps.push(as("same")(old[i]));
      i++;
      j++;
    } else if (j >= now.length || (i < old.length && common[(i + 1) * width + j] >= common[i * width + j + 1])) {
      steps.push(as("removed")(old[i++]));
    } else {
      steps.push(as("added")(now[j++]));
    }
  }
  return steps;
}

/** At (i, j): how long the longest common part of old from i on and now from j on is. */
function commonTable(old, now) {
  const width = now.length + 1;
  const table = new Uint16Array((old.length + 1) * width);
  for (let i = old.length - 1; i >= 0; i--) {
    for (let j = now.length - 1; j >= 0; j--) {
      const at = i * width + j;
      table[at] = old[i] === now[j] ? table[at + width + 1] + 1 : Math.max(table[at + width], table[at + 1]);
    }
  }
  return table;
}

/** Whole runs instead of words; a space alone between two changes belongs to both. */
function joined(steps) {
  const runs = [];
  let removed = "";
  let added = "";
  const flush = () => {
    const gap = removed.endsWith(" ") && added.endsWith(" ") ? " " : "";
    if (gap) [removed, added] = [removed.slice(0, -1), added.slice(0, -1)];
    if (removed) runs.push({ kind: "removed", text: removed });
    if (added) runs.push({ kind: "added", text: added });
    removed = added = "";
    if (gap) same(gap);
  };
  const same = (text) => {
    if (runs.at(-1)?.kind === "same") runs.at(-1).text += text;
    else runs.push({ kind: "same", text });
  };
  steps.forEach(({ kind, text }, at) => {
    const next = steps[at + 1]?.kind;
    const gap = kind === "same" && !text.trim() && removed && added && next && next !== "same";
    if (kind === "removed" || gap) removed += text;
    if (kind === "added" || gap) added += text;
    if (kind === "same" && !gap) {
      flush();
      same(text);
    }
  });
  flush();
  return runs;
}
