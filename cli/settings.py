"""`flumen settings`."""

from cli.output import AsJson, print_rows
from streams.settings import Settings, load_settings


def settings(as_json: AsJson = False) -> None:
    """Show every setting, its value here and now, and what it means."""
    current = load_settings()
    rows = []
    for name, field in Settings.model_fields.items():
        value = getattr(current, name)
        shown = "***" if value and name.endswith("password") else value
        rows.append(
            {
                "setting": name,
                "value": sorted(shown) if isinstance(shown, frozenset) else shown if as_json else str(shown),
                "changed": name in current.model_fields_set,
                "meaning": field.description or "",
            }
        )
    print_rows(rows, as_json, title="Set in flumen.toml, or as FLUMEN_<SETTING>")
