"""Ours against what authors' own code picked."""

import pytest

from . import authors


def name(record):
    options = "-".join(map(str, record["options"].values()))
    return f"{record['what']}-{record['repository'].split('/')[1]}-{options}"


@pytest.mark.parametrize("record", authors.RECORDS, ids=name)
def test_ours_is_what_the_authors_code_answers(record):
    difference = authors.difference(record)
    if record["kind"] == "values":
        assert difference <= record["tolerance"]
    else:
        # 0, but where the record says what is another on purpose.
        assert difference == record.get("shared", 0)


def test_every_record_says_where_it_comes_from():
    for record in authors.RECORDS:
        assert len(record["commit"]) == 40 and "/" in record["repository"]
        assert record["recorded"] >= record["committed"] and record["file"]
        assert record["kind"] in ("order", "set", "values")
        assert ("shared" in record) == ("why" in record)
