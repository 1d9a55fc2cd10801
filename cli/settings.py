"""`flumen settings`."""

from flumen.cli.output import AsJson, print_rows
from flumen.streams.secrets import shown
from flumen.streams.settings import Settings, load_settings


def settings(as_json: AsJson = False) -> None:
    """Show every setting, its value here and now, and what it means."""
    current = load_settings()
    rows = []
    for name, field in Settings.model_fields.items():
        value = shown(getattr(current, name))
        rows.append(
            {
                "setting": name,
                "value": sorted(value) if isinstance(value, frozenset) else value if as_json else str(value),
                "changed": name in current.model_fields_set,
                "meaning": field.description or "",
            }
        )
    print_rows(rows, as_json, title="Set in flumen.toml, or as FLUMEN_<SETTING>")
