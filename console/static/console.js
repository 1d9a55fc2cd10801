// Numbers and times as this browser writes them; without scripts they stand there in full, in UTC.
const times = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
const numbers = new Intl.NumberFormat(undefined, { maximumSignificantDigits: 6 });
for (const time of document.querySelectorAll("time[datetime]")) {
  const at = new Date(time.dateTime);
  if (!Number.isNaN(at.getTime())) time.textContent = times.format(at);
}
for (const data of document.querySelectorAll("data[value]")) {
  const value = Number(data.value);
  if (Number.isSafeInteger(value)) data.textContent = value.toLocaleString();
  else if (Number.isFinite(value) && !Number.isInteger(value)) data.textContent = numbers.format(value);
}
// A picture that cannot be had says so in words.
const missing = (image) => image.classList.add("missing");
for (const image of document.images) {
  if (image.complete && !image.naturalWidth && image.currentSrc) missing(image);
  image.addEventListener("error", () => missing(image));
}
// Arrow keys go from picture to picture.
const links = [...document.querySelectorAll(".gallery a")];
document.querySelector(".gallery")?.addEventListener("keydown", (event) => {
  const at = links.indexOf(document.activeElement);
  if (at < 0) return;
  const top = links[at].getBoundingClientRect().top;
  const columns = links.findIndex((link) => link.getBoundingClientRect().top > links[0].getBoundingClientRect().top);
  const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns }[event.key];
  if (!step || !Number.isFinite(top)) return;
  const next = links[at + step];
  if (next) {
    next.focus();
    event.preventDefault();
  }
});
document.querySelector("select#sort")?.addEventListener("change", (event) => event.target.form.requestSubmit());
// Where the facets stand above the pictures, they are opened one by one.
if (matchMedia("(max-width: 60rem)").matches) {
  for (const facet of document.querySelectorAll(".facet")) if (!facet.querySelector("[aria-current]")) facet.open = false;
}
// Empty bounds need not stand in the address.
document.querySelector("form#search")?.addEventListener("submit", (event) => {
  for (const field of event.target.elements) if (!field.value && field.name) field.disabled = true;
});
// Sweeping over bars chooses from the first to the last of them; a click chooses one, as a link does.
for (const plot of document.querySelectorAll("svg.spread")) {
  const bars = [...plot.querySelectorAll("a")];
  let from = -1, to = -1;
  const under = (event) => {
    const box = plot.getBoundingClientRect();
    const at = Math.floor(((event.clientX - box.left) / box.width) * bars.length);
    return Math.max(0, Math.min(at, bars.length - 1));
  };
  const show = () => bars.forEach((bar, at) => {
    bar.classList.toggle("swept", from >= 0 && at >= Math.min(from, to) && at <= Math.max(from, to));
  });
  plot.addEventListener("dragstart", (event) => event.preventDefault());
  plot.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    from = to = under(event);
  });
  addEventListener("pointermove", (event) => {
    if (from < 0) return;
    to = under(event);
    show();
  });
  addEventListener("pointercancel", () => {
    from = -1;
    show();
  });
  addEventListener("pointerup", () => {
    if (from < 0) return;
    const [first, last] = [bars[Math.min(from, to)], bars[Math.max(from, to)]];
    const swept = from !== to;
    from = -1;
    if (!swept) return;
    const [low, high] = plot.closest("details").querySelectorAll("input");
    [low.value, high.value] = [first.dataset.low, last.dataset.high];
    low.form.requestSubmit();
  });
}
