"""A page as a browser would read it, without one: elements, texts, links, what it would load."""

from html.parser import HTMLParser

VOID = {"br", "circle", "img", "input", "line", "meta", "path", "polyline", "rect"}


class PageRead(HTMLParser):
    """`elements`: (name, attributes) in order; `texts`: what is shown; `unclosed`: elements without an end."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.scripts: list[str] = []
        self.styles: list[str] = []
        self.unclosed: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.unclosed.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        assert tag in VOID, tag

    def handle_endtag(self, tag):
        assert self.unclosed.pop() == tag

    def handle_data(self, data):
        inside = self.unclosed[-1] if self.unclosed else ""
        {"script": self.scripts, "style": self.styles}.get(inside, self.texts).append(data)

    def all(self, name: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.elements if tag == name]

    @property
    def text(self) -> str:
        return " ".join(self.texts)
