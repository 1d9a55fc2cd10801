"""`flumen settings`."""

from flumen.cli.output import AsJson, console, print_json, print_rows
from flumen.streams.secrets import shown
from flumen.streams.settings import GROUPS, load_settings


def settings(as_json: AsJson = False) -> None:
    """Show every setting, its value here and now, and what it means."""
    current = load_settings()
    groups: dict[str, list[dict[str, object]]] = {}
    for group, declared in GROUPS.items():
        for name, field in declared.model_fields.items():
            value = shown(getattr(current, name))
            row = {
                "setting": name,
                "value": sorted(value) if isinstance(value, frozenset) else value if as_json else str(value),
                "changed": name in current.model_fields_set,
                "meaning": field.description or "",
            }
            groups.setdefault(group, []).append(row)
    if as_json:
        print_json([{**row, "group": group} for group, rows in groups.items() for row in rows])
        return
    console.print("Set in flumen.toml, or as FLUMEN_<SETTING>", highlight=False)
    for group, rows in groups.items():
        print_rows(rows, as_json, title=group)
