// Charts: a pointer or the arrow keys bring one strategy forward and read its values off.
// The numbers are those of the table under each chart. No sign of "less than" stands in
// here, so that whoever takes the tags out of the page takes no line of this with them.
const start = (chart) => {
  const area = chart.querySelector(".area");
  const read = chart.querySelector(".read");
  const here = chart.querySelector(".here");
  const names = Array.from(chart.querySelectorAll(".names button"));
  const heads = Array.from(chart.querySelectorAll(".numbers thead th")).slice(1);
  const over = chart.dataset.over;
  const hint = read.textContent;
  // Of each strategy the points that are drawn, with their column.
  const lines = Array.from(chart.querySelectorAll(".numbers tbody tr"), (row) => ({
    name: row.cells[0].textContent,
    points: Array.from(row.cells).slice(1).flatMap((cell, column) =>
      cell.dataset.left
        ? [{
            x: parseFloat(cell.dataset.left),
            y: parseFloat(cell.dataset.top),
            column,
            text: cell.textContent,
          }]
        : []),
  }));
  let pinned = -1;
  let line = -1;
  let point = 0;

  const forward = (chosen) => {
    line = chosen;
    chart.classList.toggle("chosen", chosen !== -1);
    chart.querySelectorAll("[data-line]").forEach((part) => {
      part.classList.toggle("on", Number(part.dataset.line) === chosen);
    });
    names.forEach((button, i) => button.setAttribute("aria-pressed", i === chosen));
  };
  const clear = () => {
    if (pinned !== -1) return show(pinned, point);
    forward(-1);
    here.hidden = true;
    read.textContent = hint;
  };
  const show = (chosen, number) => {
    const found = lines[chosen];
    if (!found || !found.points.length) return;
    point = Math.max(0, Math.min(number, found.points.length - 1));
    forward(chosen);
    const at = found.points[point];
    here.hidden = false;
    here.style.left = `${at.x}%`;
    here.style.top = `${at.y}%`;
    here.style.setProperty("--light", names[chosen].style.getPropertyValue("--light"));
    here.style.setProperty("--dark", names[chosen].style.getPropertyValue("--dark"));
    const where = heads[at.column].textContent;
    read.textContent = `${found.name}: ${at.text} at ${where} ${over}`;
  };
  const nearest = (points, x) => points.reduce(
    (best, one, i) => (Math.abs(points[best].x - x) > Math.abs(one.x - x) ? i : best), 0);

  area.addEventListener("pointermove", (event) => {
    const box = area.getBoundingClientRect();
    const x = (100 * (event.clientX - box.left)) / box.width;
    const y = (100 * (event.clientY - box.top)) / box.height;
    const far = lines.map(({ points }) =>
      points.length ? Math.abs(points[nearest(points, x)].y - y) : Infinity);
    const chosen = pinned === -1 ? far.indexOf(Math.min(...far)) : pinned;
    show(chosen, nearest(lines[chosen].points, x));
  });
  area.addEventListener("pointerleave", clear);
  area.addEventListener("focus", () => show(line === -1 ? 0 : line, Infinity));
  area.addEventListener("blur", clear);
  area.addEventListener("keydown", (event) => {
    const n = lines.length;
    const now = Math.max(0, line);
    const moves = {
      ArrowLeft: () => show(now, point - 1),
      ArrowRight: () => show(now, point + 1),
      Home: () => show(now, 0),
      End: () => show(now, Infinity),
      ArrowUp: () => show((now + n - 1) % n, point),
      ArrowDown: () => show((now + 1) % n, point),
      Escape: () => { pinned = -1; clear(); },
    };
    const move = moves[event.key];
    if (!move) return;
    event.preventDefault();
    move();
  });
  names.forEach((button, i) => {
    button.addEventListener("pointerenter", () => show(i, Infinity));
    button.addEventListener("pointerleave", clear);
    button.addEventListener("focus", () => show(i, Infinity));
    button.addEventListener("blur", clear);
    button.addEventListener("click", () => {
      pinned = pinned === i ? -1 : i;
      button.classList.toggle("pinned", pinned === i);
      names.forEach((other, j) => other.classList.toggle("pinned", j === pinned));
      show(i, Infinity);
    });
  });
};
document.querySelectorAll(".chart").forEach(start);

// A hint where a table is wider than the window, and only there.
const wide = new ResizeObserver((seen) => seen.forEach(({ target }) => {
  target.classList.toggle("wide", target.scrollWidth > target.clientWidth + 1);
}));
document.querySelectorAll(".scroll").forEach((part) => wide.observe(part));

// On paper nothing can be opened.
const closed = new Set();
addEventListener("beforeprint", () => {
  document.querySelectorAll("details:not([open])").forEach((part) => {
    closed.add(part);
    part.open = true;
  });
});
addEventListener("afterprint", () => {
  closed.forEach((part) => { part.open = false; });
  closed.clear();
});
