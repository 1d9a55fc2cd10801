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
