"use strict";
// Tables sort by their heads, inputs filter the table that they name. Without this script all of it can be read.
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells], body = table.tBodies[0];
  const value = (row, column) => {
    const cell = row.cells[column];
    return "value" in cell.dataset ? Number(cell.dataset.value) : cell.textContent;
  };
  const order = (a, b) => {
    if (a === "" || b === "") return 0;
    return typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b), "en", {numeric: true});
  };
  heads.forEach((head, column) => head.addEventListener("click", () => {
    const falling = head.getAttribute("aria-sort") === "ascending";
    for (const other of heads) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", falling ? "descending" : "ascending");
    const rows = [...body.rows].sort((one, two) => {
      const [a, b] = [value(one, column), value(two, column)];
      // What has no value stands last, whichever way the others go.
      if (a === "" || b === "") return (a === "") - (b === "");
      return falling ? order(b, a) : order(a, b);
    });
    body.append(...rows);
  }));
}
for (const input of document.querySelectorAll("input[data-filters]")) {
  const table = document.getElementById(input.dataset.filters).querySelector("table");
  const said = document.getElementById(`${input.dataset.filters}-count`);
  input.addEventListener("input", () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of table.tBodies[0].rows) {
      const text = [...row.cells].map((cell) => cell.textContent).join(" ").toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
      shown += !row.hidden;
    }
    said.textContent = `${shown} shown`;
  });
}
for (const box of document.querySelectorAll("input[data-shows]")) {
  box.addEventListener("change", () => {
    for (const mark of document.querySelectorAll(`[data-run="${box.dataset.shows}"]`)) {
      mark.classList.toggle("chosen", box.checked);
      // What is drawn last lies on top.
      if (box.checked) mark.parentNode.parentNode.append(mark.parentNode);
    }
  });
}
// The arrow keys go to the next cell of a heat map in their direction, in its row or column.
document.addEventListener("keydown", (event) => {
  const cell = event.target.closest?.("a.cell");
  const [along, step] = {ArrowRight: ["column", 1], ArrowLeft: ["column", -1], ArrowDown: ["row", 1], ArrowUp: ["row", -1]}[event.key] ?? [];
  if (!cell || !along || event.altKey || event.ctrlKey || event.metaKey) return;
  const across = along === "row" ? "column" : "row";
  const distance = (other) => step * (other.dataset[along] - cell.dataset[along]);
  const next = [...cell.closest("svg").querySelectorAll("a.cell")]
    .filter((other) => other.dataset[across] === cell.dataset[across] && distance(other) > 0)
    .sort((one, two) => distance(one) - distance(two))[0];
  event.preventDefault();
  next?.focus();
});
