"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const table = document.getElementById("matrix");
  const rows = [...table.tBodies[0].rows];
  const heads = [...table.tHead.rows[0].cells].slice(1);
  const why = document.getElementById("why");
  const reason = document.getElementById("reason");
  const count = data.ends.length;
  let chosen = null;

  const element = (name, text, kind) => {
    const made = document.createElement(name);
    made.textContent = text;
    if (kind) made.className = kind;
    return made;
  };
  const place = (cell) => [cell.parentElement.sectionRowIndex, cell.cellIndex - 1];
  const cellAt = (row, column) => rows[row].cells[column + 1];
  const isBlank = (cell) => cell.classList.contains("x");
  const words = { a: "everything passes", n: "nothing passes" };

  // What a cell says, as a list of elements.
  const explain = (cell) => {
    const [row, column] = place(cell);
    const from = data.ends[row], to = data.ends[column];
    const found = data.cells[row * count + column];
    const kind = cell.className[0];
    const parts = [element("h3", `${from.name} → ${to.name}`)];
    parts.push(element("p", found ? data.texts[found[0]] : words[kind], kind));
    const side = (title, name, isolation, index) => {
      parts.push(element("h4", `${title} of ${name}`));
      if (!isolation) {
        parts.push(element("p", "open, nothing isolates it"));
        return;
      }
      parts.push(element("p", `isolated by ${isolation}`));
      if (index >= 0) for (const line of data.texts[index].split("\n")) parts.push(element("p", line));
    };
    side("Egress", from.name, from.egress, found && found[1]);
    side("Ingress", to.name, to.ingress, found && found[2]);
    return parts;
  };

  const light = (cell, on) => {
    if (!cell) return;
    const [row, column] = place(cell);
    rows[row].cells[0].classList.toggle("lit", on);
    heads[column].classList.toggle("lit", on);
  };
  const choose = (cell) => {
    if (chosen) {
      chosen.classList.remove("chosen");
      light(chosen, false);
    }
    chosen = cell;
    why.hidden = !cell;
    if (!cell) return;
    cell.classList.add("chosen");
    light(cell, true);
    reason.replaceChildren(...explain(cell));
  };

  let stop = null;
  const focus = (cell) => {
    if (stop) stop.tabIndex = -1;
    stop = cell;
    cell.tabIndex = 0;
    cell.focus();
  };
  const isShown = (node) => !node.hidden;
  // The next cell in a direction that is shown.
  const step = (cell, down, right) => {
    let [row, column] = place(cell);
    for (;;) {
      row += down;
      column += right;
      if (row < 0 || column < 0 || row >= count || column >= count) return null;
      if (isShown(rows[row]) && isShown(heads[column])) return cellAt(row, column);
    }
  };

  table.classList.add("live");
  rows.forEach((row, r) => {
    [...row.cells].slice(1).forEach((cell, c) => {
      cell.tabIndex = -1;
      const what = cell.title || words[cell.className[0]] || "no question";
      cell.setAttribute("aria-label", `${data.ends[r].name} to ${data.ends[c].name}: ${what}`);
    });
  });
  stop = rows.length ? cellAt(0, 0) : null;
  if (stop) stop.tabIndex = 0;

  const cellOf = (event) => event.target.closest("tbody td");
  table.addEventListener("click", (event) => {
    const cell = cellOf(event);
    if (!cell || isBlank(cell)) return;
    focus(cell);
    choose(cell === chosen ? null : cell);
  });
  table.addEventListener("mouseover", (event) => light(cellOf(event), true));
  table.addEventListener("mouseout", (event) => {
    const cell = cellOf(event);
    if (cell && cell !== chosen) light(cell, false);
    light(chosen, true);
  });
  const moves = { ArrowDown: [1, 0], ArrowUp: [-1, 0], ArrowRight: [0, 1], ArrowLeft: [0, -1] };
  table.addEventListener("keydown", (event) => {
    const cell = cellOf(event);
    if (!cell) return;
    const move = moves[event.key];
    if (move) {
      const next = step(cell, ...move);
      if (next) {
        focus(next);
        if (chosen && !isBlank(next)) choose(next);
      }
    } else if (event.key === "Enter" || event.key === " ") {
      if (!isBlank(cell)) choose(cell === chosen ? null : cell);
    } else {
      return;
    }
    event.preventDefault();
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") choose(null);
  });
  document.getElementById("close").addEventListener("click", () => {
    const cell = chosen;
    choose(null);
    if (cell) focus(cell);
  });

  const [from, to, name] = ["from", "to", "name"].map((id) => document.getElementById(id));
  const filter = () => {
    const part = name.value.trim().toLowerCase();
    const named = data.ends.map((end) => end.name.toLowerCase().includes(part));
    const shown = (node, wanted) => !wanted || node.dataset.ns === wanted;
    // A name that no row or column has left after the other filters hides none of them.
    const inRow = rows.map((row) => shown(row, from.value));
    const inColumn = heads.map((head) => shown(head, to.value));
    const rowMatch = named.some((yes, i) => yes && inRow[i]);
    const columnMatch = named.some((yes, i) => yes && inColumn[i]);
    rows.forEach((row, i) => { row.hidden = !(inRow[i] && (named[i] || !rowMatch)); });
    const visible = heads.map((head, i) => inColumn[i] && (rowMatch || named[i] || !columnMatch));
    heads.forEach((head, i) => { head.hidden = !visible[i]; });
    rows.forEach((row) => {
      for (let i = 0; i < count; i++) row.cells[i + 1].hidden = !visible[i];
    });
    if (chosen && (chosen.hidden || chosen.parentElement.hidden)) choose(null);
    if (stop && (stop.hidden || stop.parentElement.hidden)) {
      const row = rows.find(isShown);
      const next = row && [...row.cells].slice(1).find(isShown);
      if (next) {
        stop.tabIndex = -1;
        stop = next;
        stop.tabIndex = 0;
      }
    }
  };
  document.getElementById("filter").addEventListener("input", filter);
})();
