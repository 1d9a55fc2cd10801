// What moves is asked for again, and only what has changed is put in its place: nothing that is read or held jumps.
const EVERY_MS = 1000;
const LONGEST_MS = 15000;
const later = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));
const put = (place, text) => {
  const found = new DOMParser().parseFromString(text, "text/html");
  for (const part of found.body.querySelectorAll(":scope > [id]")) {
    const old = place.querySelector(`#${CSS.escape(part.id)}`);
    if (!old || old.outerHTML === part.outerHTML) continue;
    // A live region is heard where its content changes, and not where it is another one.
    for (const { name } of [...old.attributes]) if (!part.hasAttribute(name)) old.removeAttribute(name);
    for (const { name, value } of [...part.attributes]) old.setAttribute(name, value);
    old.replaceChildren(...document.importNode(part, true).childNodes);
  }
};
for (const place of document.querySelectorAll("[data-again]")) {
  const isOver = () => "untilOver" in place.dataset && place.querySelector("[data-over]");
  (async () => {
    for (let wait = EVERY_MS; !isOver(); ) {
      await later(wait);
      if (document.hidden) continue;
      try {
        const answer = await fetch(place.dataset.again, { redirect: "error" });
        if (!answer.ok) throw new Error(`${answer.status}`);
        put(place, await answer.text());
        wait = EVERY_MS;
      } catch {
        wait = Math.min(2 * wait, LONGEST_MS);
      }
    }
  })();
}
