"""docs/solr.md says how to rebuild the index from Kudu: its script is run as it stands there."""

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from flumen.interceptor import Batch, Column, ImageMessage, Kind, load_chain, merge_columns
from flumen.stores.kudu import KuduOptions, KuduSink
from flumen.stores.solr import SolrOptions, SolrReader

PAGE = Path(__file__).parents[2] / "docs" / "solr.md"
COUNT = 1_200
SAMPLES: dict[Kind, Any] = {
    Kind.STRING: "text",
    Kind.BINARY: b"bytes",
    Kind.INT32: 7,
    Kind.INT64: 2**40,
    Kind.FLOAT: 0.5,
    Kind.DOUBLE: 0.5,
    Kind.BOOL: True,
    Kind.STRINGS: ["one", "two"],
    Kind.JSON: "[0.5,0.5]",
    Kind.TIMESTAMP: 1_790_000_000_123_000,
}


def sample_batch(columns: Sequence[Column]) -> Batch:
    ids = [f"image {row}" for row in range(COUNT)]
    values: dict[str, Any] = {column.name: [SAMPLES[column.kind]] * COUNT for column in columns}
    values |= {"id": ids, "knownlabel": [None, 7, 3] * (COUNT // 3)}
    values["probabilities"] = np.full((COUNT, 10), 0.1, dtype=np.float32)
    return Batch([ImageMessage(image_id, b"image", 0) for image_id in ids]).with_columns(**values)


def test_the_index_is_rebuilt_from_kudu(flumen_stack: Any, flumen_names: Any, tmp_path: Path) -> None:
    columns = merge_columns(step.columns for step in load_chain())
    kudu = KuduSink(
        KuduOptions(
            masters=flumen_stack.kudu_masters,
            table_prefix=flumen_names.kudu_prefix,
            partitions=2,
        ),
        columns,
    )
    kudu.connect()
    assert not kudu.write(sample_batch(columns))
    kudu.close()

    script = re.search(r"`rebuild\.py`:\n\n```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert script
    (tmp_path / "rebuild.py").write_text(script[1])
    environment = os.environ | {
        "FLUMEN_KUDU_MASTERS": flumen_stack.kudu_masters,
        "FLUMEN_KUDU_TABLE_PREFIX": flumen_names.kudu_prefix,
        "FLUMEN_SOLR_URL": flumen_stack.solr_url,
        "FLUMEN_SOLR_CORE": flumen_names.solr_core,
    }
    done = subprocess.run(
        [sys.executable, "rebuild.py"],
        check=False,
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stderr

    reader = SolrReader(SolrOptions(url=flumen_stack.solr_url, core=flumen_names.solr_core))
    reader.commit()
    assert reader.count() == COUNT
    assert reader.facet_counts("correct") == {"true": COUNT // 3, "false": COUNT // 3}
    row = reader.get("image 1199")
    assert row is not None
    for name, kind in (
        ("ingested_at", Kind.TIMESTAMP),
        ("keywords", Kind.STRINGS),
        ("latitude", Kind.DOUBLE),
    ):
        assert row[name] == SAMPLES[kind], name
    assert reader.facet_counts("keywords") == {"one": COUNT, "two": COUNT}
    reader.close()
